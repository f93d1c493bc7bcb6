"""Stalls and their causes: known ones by name, and invariants under any events."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from engine.causes import ALIKE, ENOUGH, HALF, LONG, Stalls, causes
from engine.events import (
    SERVER,
    UNSEEN,
    Arrived,
    Event,
    HandoffEnded,
    HandoffStarted,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    WorkerDown,
    WorkerUp,
)
from engine.link import LinkSpec
from engine.log import in_order
from engine.own_file import OwnFile
from engine.plan import Slice
from engine.scenario import KINDS, Deployment
from engine.sim.leap import Happening, Leapt
from engine.sim.run import run as simulate_record, simulate
from engine.stall import Cause, Stall, by_cause, longest, says
from tests.engine.sim.kitchenette import WORKER, scenario
from tests.engine.test_router import Drawn, Kills, build, cancel, cancels, deployments, kills, request_lists
from tests.engine.virtual_cluster import VirtualCluster

Span = tuple[float, float]
GIANTS: dict[str, Any] = {
    "requests": 8,
    "rate_per_s": 6.0,
    "prompt_tokens": 32,
    "long_prompt_tokens": 8000,
    "long_every": 4,
}
ONE_AT_A_TIME = """
def policy(waiting, running, chunk):
    return [(waiting[0], min(waiting[0].left, chunk))] if waiting else [(running[-1], 1)]
"""
ORDERS = GIANTS | {"output_tokens": 60}


def ran(deployment: Deployment, drawn: Drawn, kills: Kills, cancels: Kills, blocks: int, seed: int) -> list[Event]:
    """A log with faults, as it was heard."""
    cluster = VirtualCluster(deployment, LinkSpec(1e5, 0.01), blocks, seed)
    for request in build(drawn):
        cluster.submit(request)
    for t, number in kills:
        cluster.at(t, partial(cluster.kill, f"worker-{number % deployment.workers}"))
    for t, number in cancels:
        cluster.at(t, partial(cancel, cluster, f"r{number}"))
    cluster.run()
    return cluster.log


logs = st.builds(ran, deployments, request_lists, kills, cancels, st.integers(16, 40), st.integers(0, 99))


# ---- known ones


def test_a_giant_freezes_its_cooks_answers() -> None:
    log = simulate(scenario("colocated", workers=2, **ORDERS), WORKER)
    worst = longest(causes(log.events))
    assert worst is not None
    assert (worst.cause.kind, worst.cause.tokens, worst.phase) == ("prefill", 8000, "next")
    assert worst.cause.request in ("r4", "r8")
    assert worst.cause.share > 0.9
    assert worst.cause.request not in worst.requests
    assert worst.seconds == pytest.approx(max(gap for _, _, gap in gaps(log.events)))
    assert f"request {worst.cause.request[1:]}'s 8,000 tokens were prefilled" in says(worst)


def test_portions_are_mixed_steps() -> None:
    log = simulate(scenario("chunked", workers=2, chunk=2000, **ORDERS), WORKER)
    assert {stall.cause.kind for stall in causes(log.events)} == {"mixed"}


def test_a_slow_link_holds_its_own_and_who_comes_behind() -> None:
    log = simulate(scenario("disaggregated", LinkSpec(4e6), **ORDERS), WORKER)
    found = causes(log.events)
    assert {stall.cause.kind for stall in found} == {"tray", "tray-ahead"}
    own = {stall.requests: stall.cause for stall in found if stall.cause.kind == "tray"}
    assert own[("r4",)].request == "r4"
    assert own[("r4",)].nbytes >= 8_000_000
    ahead = [stall for stall in found if stall.cause.kind == "tray-ahead"]
    assert all(stall.cause.request not in stall.requests for stall in ahead)
    assert any("filled the link ahead of it" in says(stall) for stall in ahead)


def test_stalls_of_one_cause_belong_together_the_heaviest_first() -> None:
    found = causes(simulate(scenario("disaggregated", LinkSpec(4e6), **ORDERS), WORKER).events)
    groups = by_cause(found)
    assert sum(map(len, groups)) == len(found)
    waited = [sum(stall.seconds * len(stall.requests) for stall in group) for group in groups]
    assert waited == sorted(waited, reverse=True)
    assert groups[0][0].cause.request in ("r4", "r8")
    assert {stall.cause.request for stall in groups[0]} == {groups[0][0].cause.request}
    assert {stall.cause.kind for stall in groups[0]} == {"tray", "tray-ahead"}


def test_kv_that_crosses_before_the_first_token_is_a_wait_for_it() -> None:
    """The same orders, but the decode worker samples the first token: no gap shows the link, the wait does."""
    log = simulate(scenario("disaggregated", LinkSpec(4e6), first_token="decode", **ORDERS), WORKER)
    found = causes(log.events)
    assert {stall.phase for stall in found} == {"first"}
    worst = longest(found, "first")
    assert worst is not None
    assert worst.cause.kind in ("tray", "tray-ahead")
    assert "waited for the first token" in says(worst)


def test_whom_a_policy_leaves_out_is_told_so() -> None:
    """All are read first, then one answer at a time is written to its end. Ours never leave anybody out: the property
    below finds no span of that kind."""
    file = OwnFile(ONE_AT_A_TIME, "mine.py")
    log = simulate(file.deployed(scenario("colocated", **ORDERS | {"long_every": 0})), WORKER, own=file)
    out = [stall for stall in causes(log.events) if stall.cause.kind == "left-out"]
    assert len(out) > 3
    steps = [event for event in log.events if isinstance(event, StepStarted)]
    for stall in out:
        (request,) = stall.requests
        during = [step for step in steps if stall.since <= step.t < stall.until and step.worker == stall.worker]
        without = [step for step in during if all(piece.request != request for piece in step.plan)]
        assert 0 < stall.cause.tokens <= len(without)
        assert stall.cause.share > HALF
    assert re.search(
        r": request \d, left out by the policy in \d+ steps of worker-0 with tokens for others\.$", says(out[0])
    )


def test_a_fast_link_leaves_nothing_to_explain() -> None:
    log = simulate(scenario("disaggregated", LinkSpec(10e9), **ORDERS), WORKER)
    assert causes(log.events) == ()


def test_a_busy_machine_is_no_cause_of_ours() -> None:
    """A decode step that took two seconds, for no reason in the log."""
    events: list[Event] = [Arrived(0.0, "r1", 10, 32), TokenMade(0.1, "w", "r1", 0, 1)]
    ends = [0.1 + 0.02 * n for n in range(10)] + [2.3]
    for n, (begun, end) in enumerate(pairwise(ends)):
        events += [StepStarted(begun, "w", (Slice("r1", 10 + n, 1),), 0, 1, 8), StepEnded(end, "w")]
        events.append(TokenMade(end, "w", "r1", n + 1, 1))
    (stall,) = causes(events)
    assert stall.cause == Cause("none")
    assert says(stall) == "2.02 s: request 1, and nothing in this run's log says why."


def test_who_froze_later_is_not_said_to_have_stood_still_as_long() -> None:
    """Order 2 is prepped while order 1 stands still; then both do, until order 3 is prepped."""
    events: list[Event] = []
    for begun, end, prompt, tokens in ((0.0, 0.1, "r1", 10), (0.1, 1.7, "r2", 640), (1.7, 2.0, "r3", 64)):
        plan = (Slice(prompt, 0, tokens),)
        events += [Arrived(begun, prompt, tokens, 4), StepStarted(begun, "w", plan, 0, 1, 8), StepEnded(end, "w")]
        events.append(TokenMade(end, "w", prompt, 0, 1))
    plates = tuple(Slice(request, tokens, 1) for request, tokens in (("r1", 10), ("r2", 640), ("r3", 64)))
    events += [StepStarted(2.0, "w", plates, 0, 1, 8), StepEnded(2.02, "w")]
    events += [TokenMade(2.02, "w", piece.request, 1, 1) for piece in plates]
    stalls = [(stall.requests, round(stall.seconds, 2)) for stall in causes(events) if stall.phase == "next"]
    assert stalls == [(("r1",), 1.92), (("r2",), 0.32)]


def test_a_stall_that_a_step_with_a_prompt_ends_is_one_from_the_first_gap_on() -> None:
    """As in the first moments of a run, and of somebody who plays one: nothing has been decoded alone yet."""
    events: list[Event] = [Arrived(0.0, "r1", 10, 32), TokenMade(0.1, "w", "r1", 0, 1)]
    steps = [(0.2, "r2", True), (1.7, "r3", False), (1.8, "r4", True)]
    for n, (end, prompt, both) in enumerate(steps):
        begun = events[-1].t
        plan = ((Slice("r1", 11 + n // 2, 1),) if both else ()) + (Slice(prompt, 0, 64),)
        events += [Arrived(begun, prompt, 640, 4), StepStarted(begun, "w", plan, 0, 1, 8), StepEnded(end, "w")]
        events += [TokenMade(end, "w", "r1", 1 + n // 2, 1)] if both else []
    (stall,) = causes(events)
    assert (stall.requests, stall.since, stall.until) == (("r1",), 0.2, 1.8)
    assert (stall.cause.kind, stall.cause.request) == ("prefill", "r3")


def test_after_a_fault_the_fault_is_the_cause() -> None:
    drawn = [(20, 12, 0.0, False), (20, 12, 0.0, False)]
    log = ran(Deployment("colocated", workers=1), drawn, [(0.1, 0)], [], 40, 1)
    found = causes(in_order(log))
    assert {stall.cause.kind for stall in found} == {"recall"}
    assert {request for stall in found for request in stall.requests} == {"r0", "r1"}
    assert all("because of a fault: worker-0" in says(stall) for stall in found)


def test_from_outside_there_are_stalls_but_no_causes() -> None:
    times = [0.5 + 0.02 * n for n in range(12)] + [2.0]
    events: list[Event] = [
        Arrived(0.0, "q", 9, 32),
        *(TokenMade(t, SERVER, "q", n, UNSEEN) for n, t in enumerate(times)),
    ]
    (stall,) = causes(events)
    assert (stall.cause.kind, stall.requests, stall.until) == ("none", ("q",), 2.0)
    assert says(stall).endswith("request q, and a client cannot see why.")


# ---- what always holds


def gaps(events: Sequence[Event]) -> list[tuple[str, float, float]]:
    """(request, when it ended, seconds) of every gap."""
    last: dict[str, float] = {}
    found = []
    for event in events:
        if isinstance(event, TokenMade):
            if event.request in last:
                found.append((event.request, event.t, event.t - last[event.request]))
            last[event.request] = event.t
    return found


@settings(max_examples=120)
@given(logs)
def test_stalls_are_the_gaps_longer_than_eight_usual_ones(heard: list[Event]) -> None:
    events = in_order(heard)
    found = {(request, stall.until) for stall in causes(events) if stall.phase == "next" for request in stall.requests}
    every = gaps(events)
    for request, end, gap in every:
        before = [s for _, t, s in every if t < end]
        if len(before) < ENOUGH:
            continue  # then the step says what is usual
        usual = float(np.median(before))
        if abs(gap - LONG * usual) > 1e-9 and not any(t == end for r, t, _ in every if r != request):
            assert ((request, end) in found) == (gap > LONG * usual), (request, end, gap, usual)


@settings(max_examples=120)
@given(logs)
def test_a_cause_overlaps_at_least_half_of_its_stall(heard: list[Event]) -> None:
    events = in_order(heard)
    spans = what_happened(events)
    for stall in causes(events):
        cause = stall.cause
        if cause.kind == "none":
            assert cause == Cause("none")
            continue
        assert cause.share >= HALF
        assert cause.since < stall.until
        assert cause.until > stall.since
        found = spans[cause.kind, stall.worker if cause.kind in ("prefill", "mixed", "recall") else ""]
        assert covered(found, stall.since, stall.until) >= HALF * stall.seconds - 1e-6, stall


@settings(max_examples=120)
@given(logs)
def test_whom_a_stall_names_waited_about_as_long_as_it_says(heard: list[Event]) -> None:
    events = in_order(heard)
    lasted = {(request, end): gap for request, end, gap in gaps(events)}
    for stall in causes(events):
        for request in stall.requests if stall.phase == "next" else ():
            assert lasted[request, stall.until] >= ALIKE * stall.seconds - 1e-9


@settings(max_examples=60)
@given(logs)
def test_equal_gaps_that_one_step_ended_are_told_alike(heard: list[Event]) -> None:
    events = in_order(heard)
    found = {(request, stall.until) for stall in causes(events) for request in stall.requests}
    made_by = {(event.request, event.t): event.worker for event in events if isinstance(event, TokenMade)}
    by_step: defaultdict[tuple[str, float, float], set[bool]] = defaultdict(set)
    for request, end, gap in gaps(events):
        by_step[made_by[request, end], end, round(gap, 9)].add((request, end) in found)
    assert all(len(told) == 1 for told in by_step.values())


def what_happened(events: Sequence[Event]) -> dict[tuple[str, str], list[Span]]:
    """Spans of each kind of cause, found by a method other than the fold's."""
    spans: defaultdict[tuple[str, str], list[Span]] = defaultdict(list)
    end = events[-1].t
    begun: dict[str, StepStarted] = {}
    for event in events:
        if isinstance(event, StepStarted):
            begun[event.worker] = event
        elif isinstance(event, StepEnded):
            step = begun[event.worker]
            if any(piece.start == 0 or piece.tokens > 1 for piece in step.plan):
                spans["mixed" if len(step.plan) > 1 else "prefill", event.worker].append((step.t, event.t))
                spans["prefill", event.worker].append((step.t, event.t))
        elif isinstance(event, Recalled | WorkerDown):
            for worker in {e.worker for e in events if isinstance(e, WorkerUp)}:
                spans["recall", worker].append((event.t, end))
    for started in events:
        if isinstance(started, HandoffStarted):
            over = HandoffEnded | Recalled
            ends = [e.t for e in events if isinstance(e, over) and e.request == started.request and e.t >= started.t]
            spans["tray", ""].append((started.t, min(ends, default=end)))
    spans["tray-ahead", ""] = spans["tray", ""]
    spans["room", ""] = [(0.0, end)]
    return spans


def covered(spans: Sequence[Span], since: float, until: float) -> float:
    total, reached = 0.0, since
    for begun, ended in sorted(spans):
        total += max(0.0, min(ended, until) - max(begun, reached))
        reached = max(reached, min(ended, until))
    return total


@settings(max_examples=60)
@given(logs, st.data())
def test_what_is_heard_later_changes_nothing(heard: list[Event], data: st.DataObject) -> None:
    """In the live order and in order of time: after each event the result is that of a log up to it."""
    for events in (heard, in_order(heard)):
        cut = data.draw(st.integers(0, len(events)))
        whole, early = causes(events), causes(events[:cut])
        assert whole[: len(early)] == early
        fold, one_by_one = Stalls().fold, []
        for event in events:
            ended = fold(event)
            assert all(stall.until <= event.t + 1e-9 or events is heard for stall in ended)
            one_by_one += ended
        assert tuple(one_by_one) == whole


@settings(max_examples=60)
@given(logs, st.randoms(use_true_random=False))
def test_a_log_with_holes_is_read_as_far_as_it_goes(heard: list[Event], random: Random) -> None:
    events = [event for event in in_order(heard) if random.random() < 0.7]
    for stall in causes(events):
        assert stall.since < stall.until
        assert stall.requests
        assert says(stall)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_taken_in_one_leap_hide_no_stall(kind: str) -> None:
    settings = scenario(kind, LinkSpec(4e6), workers=2, **ORDERS)
    record: list[Happening] = []
    simulate_record(settings, WORKER, record.append, watched=True)
    stalls, found = Stalls(), []
    for event in record:
        if isinstance(event, Leapt):
            found += stalls.leapt(event.worker, [piece.request for piece in event.plan], event.ends_s)
        else:
            found += stalls.fold(event)
    assert key(found) == key(causes(simulate(settings, WORKER).events))


def key(stalls: Sequence[Stall]) -> set[tuple[object, ...]]:
    return {(stall.requests, stall.since, stall.until, stall.cause.kind, stall.cause.request) for stall in stalls}
