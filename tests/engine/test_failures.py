"""One rule for failures: no statistic includes them, and a command reports them first and exits with 1."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.cli import cli, run_cli
from engine.events import Arrived, Event, Failed, Finished, HandoffEnded, HandoffOffered, Recalled, TokenMade
from engine.failures import failed_requests, said_first
from engine.log import Log, in_order, load, save
from engine.metrics import summarize
from engine.scenario import Scenario
from lab.scene.recordings import replayed
from lab.scene.share_card import share_card
from tests.engine.client.openai_like import openai_like
from tests.engine.vllm.test_translate import RAW
from tests.patience import PATIENCE_S

REFUSED = "The server refused it: HTTP 500."


def answered(request: str, t: float, e2e_s: float) -> list[Event]:
    made = [TokenMade(t + e2e_s * n / 3, "worker-0", request, n - 1, 1) for n in (1, 2, 3)]
    return [Arrived(t, request, 9, 3), *made, Finished(t + e2e_s, request, "length", 3)]


def failed(request: str, t: float) -> list[Event]:
    broken = [TokenMade(t + 0.1 * n, "worker-0", request, n, 1) for n in range(2)]
    return [
        Arrived(t, request, 9, 3),
        *broken,
        Failed(t + 0.1, request, REFUSED),
        Finished(t + 0.1, request, "failed", 2),
    ]


def test_failed_requests_are_in_no_statistic_but_in_the_list() -> None:
    good = [*answered("r1", 0.0, 3.0), *answered("r2", 3.0, 3.0)]
    summary = summarize([*good[:5], *failed("r3", 1.0), *good[5:]])
    alone = summarize(good).metrics
    assert [request.finished for request in summary.requests] == ["length", "failed", "length"]
    assert summary.metrics == alone
    assert alone.output_tokens_per_s == 1.0


def test_failures_are_said_with_their_reason() -> None:
    assert said_first(answered("r1", 0.0, 1.0)) == []
    some = [*answered("r1", 0.0, 1.0), *failed("r2", 1.0)]
    assert failed_requests(some) == {"r2": REFUSED}
    assert said_first(some) == [f"1 of 2 requests failed, the first because of this: {REFUSED}"]
    assert said_first(failed("r2", 1.0)) == [f"No request was answered. {REFUSED}"]


def test_handoffs_that_all_fail_are_said_even_where_every_answer_ends_well() -> None:
    """With few output tokens, repeated prefills make them all: the engine then ran without a decode worker."""
    offered = HandoffOffered(0.1, "r1", "worker-0", "worker-1", 4000)
    recalled = Recalled(0.2, "r1", "worker-1 cannot be reached")
    end: list[Event] = [TokenMade(0.3, "worker-0", "r1", 0, 1), Finished(0.3, "r1", "length", 1)]
    (sentence,) = said_first([Arrived(0.0, "r1", 9, 1), offered, recalled, *end])
    assert "No handoff succeeded" in sentence
    assert sentence.endswith("Worker-1 cannot be reached.")
    landed = HandoffEnded(0.25, "r1", "worker-0", "worker-1", 4000, 0.1, 4e4, None, True)
    assert said_first([Arrived(0.0, "r1", 9, 1), offered, recalled, offered, landed, *end]) == []
    cancelled = Recalled(0.2, "r1", "cancelled")
    assert said_first([Arrived(0.0, "r1", 9, 1), offered, cancelled, Finished(0.3, "r1", "cancelled", 0)]) == []


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_run_with_some_failures_says_so_and_ends_with_1(
    as_json: list[str], capfd: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    prompts = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    prompts.write_text("refuse me\nall is well\n")
    with openai_like() as server:
        line = ["run", "--endpoint", server.url, "--prompts", str(prompts), "--output-tokens", "4"]
        assert run_cli(cli, [*line, "--model", "tiny-llama", *as_json]) == 1
    out, err = capfd.readouterr()
    assert err.startswith("4 of 8 requests failed")
    assert out


def a_log_with_failures(folder: Path) -> Path:
    """A recording of this engine in which one request of three failed."""
    events = [*answered("r1", 0.0, 3.0), *answered("r2", 3.0, 3.0), *failed("r3", 1.0)]
    file = folder / "log.jsonl"
    save(Log(Scenario(), in_order(events), "a machine", "2026-01-01T00:00:00+00:00"), file)
    return file


def test_watch_says_failures_first_and_ends_with_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RAW / "colocated", tmp_path / "run")
    client = tmp_path / "run" / "client.jsonl"
    lines = [json.loads(line) for line in client.read_text().splitlines()]
    own = [line for line in lines if line.get("r") == "r2"]
    last = own[len(own) // 2]  # so far its client came
    failure = {"k": "failed", "t": last["t"], "w": "client", "r": "r2", "why": "out of pans"}
    lines = [line for line in lines if line.get("r") != "r2" or line["t"] <= last["t"]] + [failure]
    client.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run_cli(cli, ["watch", str(tmp_path / "run")]) == 1
    out, err = capfd.readouterr()
    assert "requests failed, the first because of this: Out of pans." in err
    assert "TTFT" in out


def test_the_kitchen_page_the_card_and_the_page_to_share_say_failures_first(tmp_path: Path) -> None:
    log = load(a_log_with_failures(tmp_path))
    sentence = f"1 of 3 requests failed, the first because of this: {REFUSED}"
    assert replayed("Mine", log)["note"].startswith(sentence)
    assert "1 of 3 requests failed</text>" in share_card([log])

    def page(file: str) -> None:
        from engine.log import load
        from lab.kitchen.results import show_results

        show_results([load(file)], "What was measured", gaps=False)

    drawn = AppTest.from_function(page, args=(str(tmp_path / "log.jsonl"),), default_timeout=PATIENCE_S).run()
    assert [error.value for error in drawn.error] == [f"Two stations and a pass. {sentence}"]
    assert not drawn.exception
