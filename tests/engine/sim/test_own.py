"""Policies and splits of one's own in simulated time: written by hand, ours give our logs, event by event."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from engine.errors import BadInput, PolicyRefused
from engine.events import Deployed, HandoffEnded
from engine.grammar import check
from engine.link import LinkSpec
from engine.own_file import ANSWERS, OwnFile
from engine.own_policy import STARVES, OwnPolicy
from engine.request import Request
from engine.scenario import MOST_CHUNK, Scenario
from engine.sim.cluster import Cluster
from engine.sim.leap import Happening, unfold
from engine.sim.planner import PlannerSpec
from engine.sim.run import ClusterSpec, count, simulate
from engine.workload import drafts
from tests.engine.sim.kitchenette import WORKER, scenario
from tests.engine.sim.test_leaping import as_a_set

LOAD: dict[str, Any] = {
    "requests": 30,
    "rate_per_s": 5.0,
    "prompt_tokens": 60,
    "long_prompt_tokens": 700,
    "long_every": 5,
    "output_tokens": 12,
}

PREFILL_FIRST = """
def policy(waiting, running, chunk):
    chosen, room = [], 512
    for job in waiting:
        if chosen and job.left > room:
            break
        chosen.append((job, job.left))
        room -= job.left
    return chosen or [(job, 1) for job in running]
"""
CHUNKED = """
def policy(waiting, running, chunk):
    chosen = [(job, 1) for job in running]
    room = chunk - len(chosen)
    for job in waiting:
        if room > 0:
            chosen.append((job, min(room, job.left)))
            room -= chosen[-1][1]
    return chosen
"""
PREFILL_ONLY = PREFILL_FIRST.replace(" or [(job, 1) for job in running]", "")
DECODE_ONLY = "def policy(waiting, running, chunk): return [(job, 1) for job in running]"


def events(of: Iterable[Happening]) -> list[str]:
    """Without the roles' names."""
    return as_a_set(event for event in of if not isinstance(event, Deployed))


@pytest.mark.parametrize(
    ("kind", "source", "chunk"),
    [("colocated", PREFILL_FIRST, MOST_CHUNK), ("chunked", CHUNKED, 128), ("chunked", CHUNKED, 16)],
)
def test_written_by_hand_ours_give_our_logs(kind: str, source: str, chunk: int) -> None:
    ours = scenario(kind, chunk=chunk, **LOAD)
    file = OwnFile(source, "mine.py")
    mine = simulate(file.deployed(ours), WORKER, own=file)
    check(mine.events)
    assert events(mine.events) == events(simulate(ours, WORKER).events)
    counted, expected = count(file.deployed(ours), WORKER, own=file), count(ours, WORKER)
    assert counted.metrics.ttft_s == expected.metrics.ttft_s
    assert counted.metrics.max_stall_s == pytest.approx(expected.metrics.max_stall_s)


def test_so_do_those_of_prefill_and_decode_workers() -> None:
    ours = scenario("disaggregated", LinkSpec(1e6), **LOAD)
    prefills, decodes = (OwnFile(source, "mine.py") for source in (PREFILL_ONLY, DECODE_ONLY))
    record: list[Happening] = []
    own: dict[str, OwnPolicy] = {"worker-0": prefills.policy("worker-0"), "worker-1": decodes.policy("worker-1")}
    spec = msgspec.structs.replace(ours.deployment, chunk=MOST_CHUNK)
    cluster = Cluster(
        spec, ours.link, dict.fromkeys(own, WORKER), own=own, leaping=False, watched=True, write=record.append
    )
    cluster.run([Request(f"r{d.number + 1}", (0,) * d.prompt_tokens, 12, d.arrival_s) for d in drafts(ours.workload)])
    assert events(unfold(record)) == events(simulate(ours, WORKER).events)


@pytest.mark.parametrize("limit", [64, 1000])
def test_a_split_by_length_is_local_prefill_tokens(limit: int) -> None:
    theirs = scenario("disaggregated", LinkSpec(1e6), local_prefill_tokens=limit, **LOAD)
    file = OwnFile(f"def ships(tokens, prefill, decode): return tokens > {limit}", "mine.py")
    mine = simulate(file.deployed(scenario("disaggregated", LinkSpec(1e6), **LOAD)), WORKER, own=file)
    assert list(mine.events) == list(simulate(theirs, WORKER).events)
    assert sum(isinstance(event, HandoffEnded) for event in mine.events) == (6 if limit == 64 else 0)


def test_a_split_sees_what_is_under_way() -> None:
    """Ship only while the prefill worker has nothing to do: two requests at once are split between the workers."""
    file = OwnFile("def ships(tokens, prefill, decode): return prefill.prefill_tokens == 0", "mine.py")
    log = simulate(file.deployed(scenario(requests=2, prompt_tokens=300)), WORKER, own=file)
    check(log.events)
    assert [event.request for event in log.events if isinstance(event, HandoffEnded)] == ["r1"]


def test_policy_and_split_together() -> None:
    file = OwnFile(CHUNKED + "\ndef ships(tokens, prefill, decode): return tokens > 64", "mine.py")
    both = file.deployed(scenario("disaggregated", LinkSpec(1e6), chunk=64, **LOAD))
    theirs = scenario("disaggregated", LinkSpec(1e6), chunk=64, local_prefill_tokens=64, **LOAD)
    assert events(simulate(both, WORKER, own=file).events) == events(simulate(theirs, WORKER).events)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("return 3", "it returns a value of type int"),
        ("return None", "it returns a value of type NoneType"),
        ("return 1 / 0", "it raises ZeroDivisionError (division by zero) in line 2"),
    ],
)
def test_a_wrong_split_is_refused(source: str, sentence: str) -> None:
    file = OwnFile(f"def ships(tokens, prefill, decode):\n    {source}", "mine.py")
    with pytest.raises(PolicyRefused) as refused:
        simulate(file.deployed(scenario(requests=1)), WORKER, own=file)
    assert sentence in str(refused.value)
    assert "mine.py, `ships`: asked 1 times, now about request 1, " in str(refused.value)
    assert refused.value.rule == ANSWERS or "ZeroDivisionError" in sentence


def test_an_order_that_starves_is_found_in_a_run() -> None:
    """The newest first, one token at a time."""
    source = """
def policy(waiting, running, chunk):
    newest = max([*waiting, *running], key=lambda job: job.request.arrival_s)
    return [(newest, min(newest.left, chunk))]
"""
    file = OwnFile(source, "mine.py")
    load = {**LOAD, "requests": 60, "rate_per_s": 100.0, "output_tokens": 60}
    with pytest.raises(PolicyRefused, match="it has passed over request ") as refused:
        simulate(file.deployed(scenario("colocated", workers=1, **load)), WORKER, own=file)
    assert refused.value.rule == STARVES


@pytest.mark.parametrize("on", [ClusterSpec(WORKER, routing="round-robin"), ClusterSpec(WORKER, planner=PlannerSpec())])
def test_what_would_come_between_is_refused(on: ClusterSpec) -> None:
    file = OwnFile("def ships(tokens, prefill, decode): return True", "mine.py")
    with pytest.raises(BadInput, match="least-loaded routing and without a planner"):
        simulate(file.deployed(Scenario()), on, own=file)


def test_a_recording_cannot_bring_its_policy_along() -> None:
    file = OwnFile(CHUNKED, "mine.py")
    log = simulate(file.deployed(scenario(requests=2)), WORKER, own=file)
    with pytest.raises(BadInput, match="a recording or a scenario does not contain it"):
        simulate(log.scenario, WORKER)
