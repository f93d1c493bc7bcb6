"""A good log passes; if one rule of the grammar is broken, the check names it."""

from collections.abc import Callable

import msgspec
import pytest

from engine.errors import BadInput
from engine.events import (
    SERVER,
    UNSEEN,
    Arrived,
    BlocksFreed,
    Connected,
    Counted,
    Dispatched,
    Event,
    Failed,
    Finished,
    HandoffAccepted,
    HandoffEnded,
    HandoffMoved,
    HandoffOffered,
    HandoffStarted,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    WorkerDown,
)
from engine.grammar import admit, check
from engine.plan import Slice

PREFILL, DECODE = "worker-0", "worker-1"
ROAD = ("r1", PREFILL, DECODE)

GOOD: dict[str, Event] = {
    "arrived": Arrived(0.0, "r1", 20, 3),
    "dispatched": Dispatched(0.0, "r1", PREFILL),
    "step": StepStarted(0.1, PREFILL, (Slice("r1", 0, 20),), 0, 2, 8),
    "step ended": StepEnded(0.2, PREFILL),
    "token 0": TokenMade(0.2, PREFILL, "r1", 0, 7),
    "offered": HandoffOffered(0.3, *ROAD, 4000),
    "accepted": HandoffAccepted(0.4, *ROAD),
    "started": HandoffStarted(0.5, *ROAD, 4000, "shm", None),
    "moved": HandoffMoved(0.6, *ROAD, 4000),
    "landed": HandoffEnded(0.7, *ROAD, 4000, 0.2, 20_000.0, None, True),
    "freed": BlocksFreed(0.8, PREFILL, "r1", 0, 8),
    "decode": StepStarted(0.8, DECODE, (Slice("r1", 20, 1),), 0, 2, 8),
    "decode ended": StepEnded(0.9, DECODE),
    "token 1": TokenMade(0.9, DECODE, "r1", 1, 8),
    "finished": Finished(0.9, "r1", "stop", 2),
    "freed too": BlocksFreed(0.9, DECODE, "r1", 0, 8),
}
Log = list[Event]
Break = Callable[[dict[str, Event]], Log]


def after(name: str, *added: Event) -> Break:
    """The good log with something added behind an event."""

    def broken(good: dict[str, Event]) -> Log:
        at = list(good).index(name) + 1
        return [*list(good.values())[:at], *added, *list(good.values())[at:]]

    return broken


def events(first: str, last: str) -> Log:
    """The good log's events from one to another."""
    names = list(GOOD)
    return list(GOOD.values())[names.index(first) : names.index(last) + 1]


def without(*names: str) -> Break:
    return lambda good: [event for name, event in good.items() if name not in names]


def changed(name: str, **fields: object) -> Break:
    return lambda good: list({**good, name: msgspec.structs.replace(good[name], **fields)}.values())


def swapped(one: str, other: str) -> Break:
    return lambda good: list({**good, one: good[other], other: good[one]}.values())


def test_a_good_log_passes() -> None:
    check(list(GOOD.values()))


BROKEN: dict[str, tuple[Break, str]] = {
    "time runs backwards at a worker": (changed("step ended", t=0.05), "time ran backwards at worker-0"),
    "a token before its step": (changed("token 1", t=0.85), "time ran backwards at worker-1"),
    "arrives twice": (after("dispatched", GOOD["arrived"]), "arrived twice"),
    "arrives again after its end": (after("freed too", GOOD["arrived"]), "arrived twice"),
    "a token is missing": (without("token 0"), "token out of order"),
    "a token comes twice": (after("token 1", GOOD["token 1"]), "token out of order"),
    "a token after the end": (after("freed too", TokenMade(1.0, DECODE, "r1", 2, 9)), "token after the end"),
    "ends twice": (after("freed too", GOOD["finished"]), "finished out of turn"),
    "ends and never arrived": (after("freed too", Finished(1.0, "r2", "stop", 0)), "finished out of turn"),
    "ends with more tokens than it made": (changed("finished", output_tokens=3), "tokens were lost"),
    "ends with fewer tokens than it made": (changed("finished", output_tokens=1), "tokens were lost"),
    "never ends": (without("finished"), r"never finished: \['r1'\]"),
    "two steps at once": (after("decode", GOOD["decode"]), "two steps at once"),
    "a step ends that never began": (without("decode"), "a step ended that never began"),
    "a step ends twice": (after("step ended", GOOD["step ended"]), "a step ended that never began"),
    "more blocks than there are": (changed("decode", blocks_used=9), "more blocks than there are"),
    "fewer blocks than none": (changed("decode", blocks_used=-1), "more blocks than there are"),
    "accepted twice": (after("accepted", GOOD["accepted"]), "HandoffAccepted.* after HandoffAccepted"),
    "started before it was accepted": (without("accepted"), "HandoffStarted.* after HandoffOffered"),
    "ended before it was started": (without("started"), "HandoffEnded.* after HandoffAccepted"),
    "ended twice": (after("landed", GOOD["landed"]), "HandoffEnded.* after HandoffEnded"),
    "accepted after it was started": (swapped("accepted", "started"), "HandoffStarted.* after HandoffOffered"),
    "freed before it had landed": (without("landed"), "freed before it had landed"),
    "freed though it did not arrive whole": (changed("landed", verified=False), "freed before it had landed"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_broken(rule: str) -> None:
    broken, said = BROKEN[rule]
    with pytest.raises(AssertionError, match=said):
        check(broken(GOOD))


RECALLED = Recalled(0.6, "r1", "worker-1 is down")
FREED = BlocksFreed(0.6, PREFILL, "r1", 0, 8)

ALLOWED: dict[str, Break] = {
    "another worker's clock may be behind": after("freed", StepStarted(0.05, "worker-2", (), 0, 0, 8)),
    "a worker that died begins again": after("decode", WorkerDown(0.8, DECODE, "killed"), GOOD["decode"]),
    "a request that was called back is handed off anew": after("started", RECALLED, *events("offered", "started")),
    "its blocks are freed though nothing landed": after("started", RECALLED, FREED, *events("offered", "started")),
    "what a sender still says after that is stale": after(
        "offered", RECALLED, *events("started", "landed"), *events("offered", "offered")
    ),
    "a cancelled request ends with the tokens it has": lambda good: [
        *events("arrived", "offered"),
        Recalled(0.3, "r1", "cancelled"),
        Finished(0.3, "r1", "cancelled", 1),
        FREED,
    ],
}


@pytest.mark.parametrize("story", ALLOWED)
def test_what_may_happen_passes(story: str) -> None:
    check(ALLOWED[story](GOOD))


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_run_that_is_still_going_on_passes_as_such(length: int) -> None:
    check(list(GOOD.values())[:length], complete=False)


# ---- a client's log

SEEN: tuple[Event, ...] = (
    Connected(0.0, "http://127.0.0.1:8000/v1", "m"),
    Arrived(0.1, "r1", 20, 2),
    TokenMade(0.3, SERVER, "r1", 0, UNSEEN),
    Counted(0.4, "r1", 22, 1),
    Failed(0.4, "r1", "The stream stopped."),
    Finished(0.4, "r1", "failed", 1),
)


def test_what_a_client_sees_is_a_log() -> None:
    check(SEEN)


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ((*SEEN[:2], StepStarted(0.2, SERVER, (), 0, 0, 1)), "no client sees this"),
        ((*SEEN[:2], HandoffOffered(0.2, *ROAD, 1)), "no client sees this"),
        ((SEEN[0], Counted(0.1, "r1", 1, 1)), "about nobody"),
        ((*SEEN, Failed(0.5, "r1", "again")), "about nobody"),
    ],
)
def test_what_no_client_sees_is_none(log: tuple[Event, ...], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check(log, complete=False)


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([TokenMade(0.0, "worker-0", "r1", 0, 1)], "never arrived"),
        ([Finished(0.0, "r1", "stop", 0)], "finished out of turn"),
        ([Arrived(1.7e308, "r1", 1, 1)], "at most 1e"),
        ([Arrived(0.0, "r1", 1, 1)] * 2, "arrived twice"),
    ],
)
def test_a_log_of_somebody_else_s_is_judged_at_the_door(events: list[Event], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        admit(events, "theirs.jsonl")


def test_a_run_that_is_not_over_is_admitted() -> None:
    admit([Arrived(0.0, "r1", 1, 1)], "mine.jsonl")
