"""`simulate`, `reality` and `bench` on the command line: the keys of `run`, and one sentence for bad input."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine import load_log, simulate
from engine.cli import cli, run_cli
from engine.events import WorkerUp
from engine.grammar import check
from engine.log import save
from engine.scenario import KINDS
from tests.engine.sim.kitchenette import WORKER, scenario
from tests.engine.test_cli import HANDOFF_KEYS, LINK_KEYS, METRIC_KEYS, REQUEST_KEYS, RUN_KEYS

Capture = pytest.CaptureFixture[str]
TINY = ("--model", "tiny-llama")


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log to calibrate on."""
    file = tmp_path / "log.jsonl"
    save(simulate(scenario("chunked", requests=20, rate_per_s=3.0, long_every=3, long_prompt_tokens=500), WORKER), file)
    return str(file)


def said(capfd: Capture, *arguments: str) -> Any:
    assert run_cli(cli, arguments) == 0, capfd.readouterr().err
    return json.loads(capfd.readouterr().out)


def refusal(capfd: Capture, *arguments: str) -> str:
    assert run_cli(cli, arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize("kind", KINDS)
def test_simulate_says_what_run_says(kind: str, log: str, capfd: Capture) -> None:
    asked = ("--prompt-tokens", "60", "--output-tokens", "7", "--requests", "4", "--rate", "5", "--link", "1MB/s")
    report = said(capfd, "simulate", "--deployment", kind, "--cost", log, *TINY, *asked, "--json")
    assert list(report) == RUN_KEYS
    assert list(report["requests"][0]) == REQUEST_KEYS
    assert list(report["metrics"]) == METRIC_KEYS
    assert list(report["link"]) == LINK_KEYS
    assert [len(request["itl_s"]) for request in report["requests"]] == [6] * 4
    assert [list(handoff) for handoff in report["handoffs"]] == [HANDOFF_KEYS] * (4 if kind == "disaggregated" else 0)


def test_simulate_serves_a_policy_of_one_s_own(log: str, tmp_path: Path, capfd: Capture) -> None:
    file, few = tmp_path / "mine.py", ("--requests", "4", "--rate", "5", "--prompt-tokens", "60")
    asked = ("simulate", "--policy", str(file), "--cost", log, *TINY, *few)
    file.write_text("def policy(waiting, running, chunk): return [(job, job.left) for job in waiting + running]")
    assert said(capfd, *asked, "--json")["deployment"] == "own policy"
    assert run_cli(cli, (*asked, "--workers", "1")) == 0
    assert capfd.readouterr().out.splitlines()[1].startswith("own policy ")
    sentence = "deployment is 'chunked', but must be colocated, or left out: mine.py defines `policy` only."
    assert refusal(capfd, *asked, "--deployment", "chunked") == sentence
    file.write_text("def ships(tokens, prefill, decode): return False")
    report = said(capfd, *asked, "--json")
    assert (report["deployment"], report["handoffs"]) == ("own split", [])
    assert "own split" in refusal(capfd, *asked, "--local-prefill-tokens", "8")
    file.write_text("def policy(waiting, running, chunk): return []")
    assert run_cli(cli, asked) == 1
    assert capfd.readouterr().err.startswith("mine.py, step 1 of worker-0: it chooses nothing, though request 1 could")


def test_simulate_takes_its_cost_from_hardware_data(tmp_path: Path, capfd: Capture) -> None:
    asked = ("--prompt-tokens", "4096", "--output-tokens", "64", "--requests", "4", "--rate", "2")
    file = str(tmp_path / "simulated.jsonl")
    slow, fast = (
        said(capfd, "simulate", "--gpu", card, "--model", "llama-3.1-8b", *asked, "--record", file, "--json")["metrics"]
        for card in ("a100-sxm4-80g", "h100-sxm")
    )
    assert load_log(file).scenario.model.path == "llama-3.1-8b"
    assert fast["ttft_s"]["p50"] < slow["ttft_s"]["p50"]  # more FLOP/s
    assert fast["itl_s"]["p50"] < slow["itl_s"]["p50"]  # more bytes/s


def test_simulate_says_what_it_was_on_and_how_far_off_it_may_be(capfd: Capture) -> None:
    asked = "--model llama-3.3-70b --tp 8 --precision fp8 --engine vllm --deployment chunked --workers 1 --users 8"
    load = "--prompt-tokens 1024 --output-tokens 256 --requests 32 --json"
    report = said(capfd, "simulate", "--gpu", "h200-sxm", *asked.split(), *load.split())
    assert report["on"]["formats"] == "fp8 weights and bf16 KV"
    assert report["on"]["tp"] == 8
    assert 0 < report["on"]["tpot_error"] < 0.3
    assert 0.006 < report["metrics"]["tpot_s"]["p50"] < 0.012  # 7.9 ms with 4 users, 12.7 with 64 were measured


def test_users_on_gpus_do_not_all_ask_together(capfd: Capture) -> None:
    on = "--gpu h200-sxm --model llama-3.3-70b --tp 8 --precision fp8 --deployment chunked --workers 1"
    load = "--users 16 --prompt-tokens 1024 --output-tokens 256 --requests 96 --json"
    usual, together = (
        said(capfd, "simulate", *f"{on} {load} {vary}".split())["metrics"]["ttft_s"]["mean"]
        for vary in ("", "--vary 0")
    )
    assert 0.06 < usual < 0.2  # 109 ms were measured with answers four times as long
    assert together > 1.3 * usual


def test_simulate_records_a_log_like_any_other(log: str, tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "simulated.jsonl.gz"
    assert run_cli(cli, ("simulate", "--cost", log, *TINY, "--requests", "3", "--record", str(file))) == 0
    check(load_log(file).events)
    assert "TTFT p50" in capfd.readouterr().out


def test_a_log_on_hardware_names_the_model_that_was_simulated(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "simulated.jsonl"
    asked = ("--prompt-tokens", "512", "--output-tokens", "8", "--requests", "3", "--record", str(file))
    assert run_cli(cli, ("simulate", "--gpu", "h100-sxm", "--model", "llama-3.1-8b", *asked)) == 0
    assert load_log(file).scenario.model.path == "llama-3.1-8b"
    capfd.readouterr()


def test_a_shared_fabric_is_slower_than_links_of_one_s_own(log: str, capfd: Capture) -> None:
    pools = ("--prefill-workers", "4", "--decode-workers", "4", "--requests", "16", "--output-tokens", "4")
    asked = ("simulate", "--cost", log, *TINY, *pools, "--link", "1MB/s", "--sharing", "fair", "--json")
    own, shared = (said(capfd, *asked, *fabric) for fabric in ((), ("--fabric", "1MB/s")))
    assert shared["metrics"]["e2e_s"]["p90"] > own["metrics"]["e2e_s"]["p90"]


def test_a_planner_adds_workers_where_it_may_have_more(log: str, tmp_path: Path) -> None:
    file = tmp_path / "planned.jsonl"
    load = ("--requests", "600", "--rate", "12", "--output-tokens", "4", "--ttft-slo", "10ms", "--record", str(file))

    def started(most: str) -> int:
        asked = ("simulate", "--cost", log, *TINY, *load, "--planner", "load", "--most-workers", most)
        assert run_cli(cli, asked) == 0
        return sum(isinstance(event, WorkerUp) for event in load_log(file).events)

    assert started("2") == 2
    assert started("3") > 2


def test_simulate_plays_a_trace_on_more_workers_than_there_are_cores(log: str, tmp_path: Path, capfd: Capture) -> None:
    trace = tmp_path / "trace.jsonl"
    rows = [{"timestamp": n * 50, "input_length": 100 + n, "output_length": 3, "hash_ids": [0]} for n in range(50)]
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pools = ("--prefill-workers", "12", "--decode-workers", "20")
    report = said(capfd, "simulate", "--cost", log, *TINY, *pools, "--trace", str(trace), "--ttft-slo", "10s", "--json")
    assert [request["prompt_tokens"] for request in report["requests"]] == [100 + n for n in range(50)]
    assert report["slo"]["attainment"] == 1.0
    few = said(capfd, "simulate", "--cost", log, *TINY, "--trace", str(trace), "--requests", "5", "--json")
    assert len(few["requests"]) == 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            "--cost h100",
            "cost is 'h100', but must be measured, or a log recorded by `split-kitchen run --record` (",
        ),
        ("--gpu h100 --model llama-3.1-8b", "gpu is 'h100', but must be one of a100-sxm4-80g,"),
        ("--gpu h100-sxm --model llama", "model is 'llama', but must be one of smollm2-135m,"),
        (
            "--gpu l4 --model llama-3.1-8b --prompt-tokens 900000",
            "prompt and output tokens is 900032, but must be at most",
        ),
        ("--routing best", "routing is 'best', but must be one of least-loaded, round-robin, kv-aware."),
        ("--workers 2000", "workers is 2000, but must be a whole number from 1 to 1,024."),
        ("--prompts words.txt", "No such option '--prompts'"),
        ("--gpu h100-sxm --cost log.jsonl", "cost is 'log.jsonl', but must be left out with --gpu."),
        ("--gpu h100-sxm --dtype bf16", "dtype is 'bf16', but must be left out with --gpu."),
        ("--gpu h100-sxm --kv-blocks 64", "kv blocks is 64, but must be left out with --gpu."),
        ("--precision fp8", "precision is 'fp8', but must be left out without --gpu."),
        ("--gpu h100-sxm --precision fp6", "precision is 'fp6', but must be one of bf16, fp8,"),
        ("--gpu h100-sxm --engine tgi", "engine is 'tgi', but must be one of vllm, sglang, dynamo, trtllm"),
        ("--sharing equal", "sharing is 'equal', but must be one of fifo, fair."),
        ("--fabric 1GB/s", "sharing is 'fifo', but must be fair with --fabric"),
        ("--planner best", "planner is 'best', but must be one of none, load, throughput."),
        ("--planner load --deployment chunked", "planner is 'load', but must be none unless the deployment"),
        ("--planner load --most-workers 1", "most workers is 1, but must be a whole number from 2 to 1,024."),
        ("--most-workers 4", "most workers is 4, but must be left out without --planner."),
        ("--ttft-slo soon", "ttft slo is 'soon', but must be a time of 0 or more"),
        ("--ttft-slo 0s", "TTFT SLO is 0.0, but must be above 0, in seconds."),
        ("--trace nowhere.csv", "trace is 'nowhere.csv', but must be an Azure or BurstGPT CSV, a Mooncake"),
        ("--arrivals odd", "arrivals is 'odd', but must be one of poisson, gamma, onoff."),
        ("--vary 2", "vary is 2.0, but must be from 0 to 0.9, in a share of the lengths."),
        ("--users 3 --rate 2", "rate is 2.0, but must be inf where users wait for their answers."),
    ],
)
def test_bad_options_are_one_sentence(options: str, sentence: str, capfd: Capture) -> None:
    assert refusal(capfd, "simulate", *options.split()).startswith(sentence)


def test_reality_lays_two_logs_over_each_other(log: str, tmp_path: Path, capfd: Capture) -> None:
    other = tmp_path / "other.jsonl"
    wanted = scenario("chunked", requests=20, rate_per_s=3.0, long_every=3, long_prompt_tokens=500, seed=7)
    import msgspec

    from engine.scenario import ModelSpec

    save(simulate(msgspec.structs.replace(wanted, model=ModelSpec("tiny-llama")), WORKER), other)
    verdict = said(capfd, "reality", "--from", log, "--against", str(other), "--json")["chunked"]
    assert max(abs(gap["error"]) for gap in verdict["gaps"]) < 0.01
    assert refusal(capfd, "reality", "--from", log).startswith("from and against is 'only one of them'")


def test_the_simulator_s_bench_counts(capfd: Capture) -> None:
    found = said(capfd, "bench", "simulator", "--requests", "50", "--repeat", "1", "--json")
    assert found["requests"] == 50
    assert found["requests_per_s"] > 0
    assert found["replay"].startswith("skipped")
    assert refusal(capfd, "bench", "simulator", "--scene", "moon").startswith("scene is 'moon'")


def test_the_simulators_bench_asks_a_peer_between_its_own_runs(capfd: Capture, tmp_path: Path) -> None:
    """A stand-in that speaks the peers' protocol: a version, then seconds for each line."""
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho '\"9.9\"'\nwhile read -r line; do echo 0.5; done\n")
    fake.chmod(0o755)
    found = said(
        capfd, "bench", "simulator", "--requests", "50", "--repeat", "1", "--json", "--replay-python", str(fake)
    )
    assert found["replay"] == "ai-dynamo 9.9"
    assert found["replay_requests_per_s"] == 100
    assert found["times_replay"] == pytest.approx(0.5 / found["seconds"])
    nowhere = refusal(capfd, "bench", "simulator", "--replay-python", str(tmp_path / "nowhere"))
    assert nowhere.startswith("replay python is")


@pytest.mark.parametrize(
    ("command", "means_nothing"),
    [
        ("simulate", ["--temperature", "--top-p", "--ignore-eos", "--listen", "--prompts", "--device"]),
        ("reality", ["--listen", "--prompts"]),
        ("compare", ["--deployment", "--endpoint", "--policy"]),
        ("watch", ["--model", "--requests"]),
    ],
)
def test_a_command_offers_only_what_it_uses(command: str, means_nothing: list[str], capfd: Capture) -> None:
    for option in means_nothing:
        assert run_cli(cli, [command, option, "1"]) == 2
        assert "No such option" in capfd.readouterr().err
    assert run_cli(cli, [command, "--help"]) == 0
    shown = capfd.readouterr().out
    assert [option for option in means_nothing if f"{option} " in shown] == []
