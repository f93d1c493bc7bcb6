"""What a command reports about a run in addition to its numbers: stalls with their causes, and failures."""

import msgspec
import pytest

from engine.events import Arrived, Event, Finished, Recalled, TokenMade
from engine.link import LinkSpec
from engine.log import Log
from engine.metrics import summarize
from engine.report import remarks, report
from engine.scenario import Deployment, ModelSpec
from engine.sim.run import simulate
from tests.engine.sim.kitchenette import WORKER, scenario
from tests.engine.test_causes import ORDERS, ran

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("kind", "says"),
    [("colocated", "8,000 tokens were prefilled"), ("disaggregated", "its own 8 MB of KV cache crossed the link")],
)
def test_the_longest_stall_is_said_with_its_cause(kind: str, says: str, capsys: Capture) -> None:
    log = simulate(scenario(kind, LinkSpec(4e6), workers=2, **ORDERS), WORKER)
    remarks([(kind, log)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{kind}: longest stall ")]
    assert says in line
    said = msgspec.json.decode(msgspec.json.encode(report(log, summarize(log.events))))
    assert line.endswith(said["longest_stall"]["says"])
    assert said["longest_stall"]["seconds"] == pytest.approx(said["metrics"]["max_stall_s"])
    assert set(said["longest_stall"]["cause"]) >= {"kind", "request", "tokens", "since", "until", "share"}


def test_a_run_without_a_stall_names_none(capsys: Capture) -> None:
    log = simulate(scenario("disaggregated", LinkSpec(10e9), **ORDERS), WORKER)
    remarks([("disaggregated", log)])
    assert capsys.readouterr().out == ""
    assert report(log, summarize(log.events))["longest_stall"] is None


def test_what_had_to_begin_again_is_said(capsys: Capture) -> None:
    log = Log(scenario(), tuple(ran(Deployment(), [(40, 12, 0.0, False)] * 2, [(0.15, 0)], [], 40, 1)))
    remarks([("disaggregated", log)])
    said = capsys.readouterr().out
    recalled = [event.request for event in log.events if isinstance(event, Recalled)]
    assert recalled
    assert "began again, because worker-0 is down" in said
    assert all(request[1:] in said for request in recalled)
    assert [entry["request"] for entry in report(log, summarize(log.events))["recalled"]] == recalled


def test_a_handoff_that_never_succeeds_is_not_hidden(capsys: Capture) -> None:
    events: list[Event] = [Arrived(0.0, "r1", 9, 32), TokenMade(0.1, "worker-0", "r1", 0, 1)]
    events += [Recalled(0.2 + n, "r1", "the checksum does not match") for n in range(5)]
    log = Log(scenario(), (*events, Finished(5.0, "r1", "failed", 1)))
    remarks([("disaggregated", log)])
    assert capsys.readouterr().out.splitlines() == [
        "disaggregated: request 1 FAILED after 1 token.",
        "disaggregated: request 1 began again 5 times, because the checksum does not match",
    ]


def test_a_run_on_gpus_says_where_it_ran_and_whether_that_was_ever_checked(capsys: Capture) -> None:
    said = "A CPU, 2 cores; workers on A GPU (never checked)"
    on_gpus = msgspec.structs.replace(scenario(), model=ModelSpec(device="cuda"))
    for where, machine in ((scenario(), "A CPU, 2 cores"), (on_gpus, said)):
        remarks([("colocated", Log(where, (), machine))])
    assert capsys.readouterr().out == f"colocated: on {said}\n"
