"""Gathering evidence, on a made-up engine: what is reused, what is made once more, and which seeds it has."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.events import Event, StepEnded, StepStarted
from engine.live.machine.lull import Lull
from engine.plan import Slice
from engine.scenario import Scenario
from lab.course.evidence_runs import Gathering, Part, Shared, says
from lab.course.evidence_store import EvidenceStore
from lab.course.single_flight import SILENT_S, SingleFlight
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.lru import LRU
from lab.runs.run_feed import Run, RunFeed
from lab.ui.formatting import made_words
from lessons.evidence import CannotTell, Evidence
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from lessons.question import Choice

ASKED = Round("first", "Which?", Choice({"a": "A"}), key=lambda _: Key("a"), runs=lambda _: {"one": Scenario()})
LESSON = Lesson(Path("l99_lesson"), "A lesson", 1, (ASKED,))


Begin = Callable[..., Gathering]
Gathered = Callable[..., Evidence]


class AtOnce(Lull):
    """Nothing is waited for."""

    def came(self) -> bool:
        self.awaited = False
        return True


class Busy(Lull):
    """None comes, until the test says so."""

    over = False

    def came(self) -> bool:
        self.awaited = self.awaited and not self.over
        return not self.awaited


class Engine(EngineClient):
    """Makes each run at once; `noise`: for each run, the share of its steps that other programs took."""

    def __init__(self) -> None:
        super().__init__(EngineSettings(), RunFeed(lambda act: act()))
        self.state = "ready"
        self.noise: list[float] = []
        self.waits = False
        self.made: list[int] = []  # seeds
        self.stopped: list[str] = []

    def start(self, scenario: Scenario, prompts: tuple[str, ...] = (), *, by: str = "", first: bool = False) -> str:
        run = Run(f"run-{len(self.made)}", scenario, by)
        noise = self.noise.pop(0) if self.noise else 0.0
        ends: list[Event] = [StepStarted(0.0, "w", (Slice("a", 0, 1),), 0, 1, 8), StepEnded(1.0, "w", 1.0 - noise)]
        run.events, run.over, run.ended_at = ends, not self.waits, f"2026-01-01T10:42:{len(self.made):02d}+00:00"
        self.made.append(scenario.workload.seed)
        self.feed.add(run)
        return run.id

    def place(self, run: str) -> int:
        return int(self.waits)

    def queue_words(self, run: str) -> str:
        return ""

    def stop(self, run: str) -> None:
        self.stopped.append(run)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def begin(engine: Engine, clock: Clock) -> Begin:
    """Begins a gathering: whose it is, and as Gathering takes it."""
    shared = Shared(engine, LRU(100), SingleFlight(clock), AtOnce)
    return lambda by, seed=0, **how: Gathering(shared, [Part(ASKED, 0.0, seed)], by, **how)


@pytest.fixture
def gathered(begin: Begin) -> Gathered:
    return lambda **how: complete(begin("me", **how))


def complete(begun: Gathering) -> Evidence:
    for _ in range(20):
        begun.advance()
    assert begun.complete
    return begun.evidence()["first"]


def said(evidence: Evidence) -> str:
    assert evidence.made is not None
    return made_words(evidence.made)


def test_the_repeats_have_the_seed_and_those_after_it(engine: Engine, gathered: Gathered) -> None:
    assert said(gathered(seed=7)) == "3 runs with seeds 7 to 9, measured at 10:42 UTC."
    assert engine.made == [7, 8, 9]


def test_the_same_settings_and_seed_are_not_run_twice(engine: Engine, gathered: Gathered) -> None:
    first, second = gathered(), gathered()
    assert engine.made == [0, 1, 2]
    assert second.logs == first.logs
    assert (first.reused, second.reused) == (0, 3)
    assert said(second).endswith("All of them were made before, with the same settings and seeds.")


def test_what_has_another_seed_is_run_all_of_it(engine: Engine, gathered: Gathered) -> None:
    """Also the repeats that have a seed in common: runs are compared with those that were made beside them."""
    gathered(seed=0)
    assert gathered(seed=2).reused == 0
    assert engine.made == [0, 1, 2, 2, 3, 4]


def test_who_asks_for_it_has_it_run_again_and_later_ones_get_the_newest(engine: Engine, gathered: Gathered) -> None:
    first, again = gathered(), gathered(fresh=True)
    assert (again.reused, engine.made) == (0, [0, 1, 2] * 2)
    assert again.logs["one"][0].recorded_at > first.logs["one"][0].recorded_at
    assert gathered().logs == again.logs


def test_thirty_who_ask_the_same_at_once_have_it_run_once(engine: Engine, begin: Begin) -> None:
    class_ = [begin(f"learner {n}") for n in range(30)]
    for _ in range(6):
        for one in class_:
            one.advance()
    assert engine.made == [0, 1, 2]
    assert all(one.complete for one in class_)
    evidence = [one.evidence()["first"] for one in class_]
    assert all(one.logs == evidence[0].logs for one in evidence)
    assert [one.reused for one in evidence] == [0] + [3] * 29


def test_who_asks_second_watches_the_first_one_s_runs_and_can_go(engine: Engine, begin: Begin) -> None:
    engine.waits = True  # no run ends
    first, second, third = (begin(who) for who in "abc")
    for one in (first, second, third):
        one.advance()
    assert (first.run, second.run, second.on) == ("run-0", "", first)
    assert "these runs are for both" in says(second)
    second.stop()
    assert engine.stopped == []  # it was not the second's to stop
    assert second.on is second
    first.stop()
    assert engine.stopped == ["run-0"]
    third.advance()
    assert (third.run, third.on) == ("run-1", third)  # whoever is left goes on


def test_who_closes_the_page_leads_no_longer(engine: Engine, begin: Begin, clock: Clock) -> None:
    first, second = (begin(who) for who in "ab")
    first.advance()
    second.advance()
    assert second.on is first
    clock.now_s += SILENT_S + 1
    for _ in range(6):
        second.advance()
    assert second.complete
    assert second.evidence()["first"].reused == 0


def test_a_class_waits_for_nobody_and_others_wait_for_it(engine: Engine, begin: Begin) -> None:
    engine.waits = True
    learner, room = begin("me"), begin("class", for_all=True)
    late, own = begin("you"), begin("me too", fresh=True)
    for one in (learner, room, late, own):
        one.advance()
    assert (learner.run, room.run, late.on, own.run) == ("run-0", "run-1", room, "run-2")


def test_who_shared_a_disturbed_run_is_told_so(engine: Engine, begin: Begin) -> None:
    engine.noise = [0.5] * 3
    both = [begin(who) for who in "ab"]
    for _ in range(9):
        for one in both:
            one.advance()
    assert engine.made == [0, 0, 0, 1, 2]
    assert all("1 of them was disturbed" in said(one.evidence()["first"]) for one in both)


def test_a_disturbed_run_is_said_to_be_and_given_to_nobody_else(engine: Engine, gathered: Gathered) -> None:
    engine.noise = [0.0, 0.5, 0.5, 0.5]
    assert said(gathered()).endswith("1 of them was disturbed by something else on this machine.")
    assert gathered().reused == 0
    assert engine.made == [0, 1, 1, 1, 2, 0, 1, 2]
    assert gathered().reused == 3


@pytest.mark.parametrize("for_all", [False, True])
def test_a_disturbed_run_is_made_again(engine: Engine, gathered: Gathered, for_all: bool) -> None:
    engine.noise = [0.0, 0.5]
    evidence = gathered(for_all=for_all)
    assert engine.made == [0, 1, 1, 2]
    assert "disturbed" not in said(evidence)
    assert len(evidence.logs["one"]) == 3


def test_a_disturbed_run_waits_for_a_lull_and_says_so(
    engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.noise = [0.5]
    begun = Gathering(Shared(engine, LRU(100), SingleFlight(clock), Busy), [Part(ASKED, 0.0, 0)], "me")
    for _ in range(5):
        begun.advance()
    assert engine.made == [0]
    assert begun.waits
    assert "waits for a quiet moment" in says(begun)
    monkeypatch.setattr(Busy, "over", True)
    complete(begun)
    assert engine.made == [0, 0, 1, 2]
    assert not begun.waits


def test_a_busy_machine_is_asked_twice_as_often_at_most_and_then_it_says_so(engine: Engine, gathered: Gathered) -> None:
    engine.noise = [0.9] * 12
    evidence = gathered()
    assert engine.made == [0, 0, 0, 1, 1, 2]
    assert said(evidence).endswith("All of them were disturbed by something else on this machine.")


def test_of_several_attempts_the_least_disturbed_counts(engine: Engine, gathered: Gathered) -> None:
    engine.noise = [0.5, 0.2, 0.9]
    assert gathered().lost == pytest.approx(0.2)


def test_what_does_not_depend_on_time_is_run_once(engine: Engine, clock: Clock) -> None:
    engine.noise = [0.9] * 3
    shared = Shared(engine, LRU(100), SingleFlight(clock), AtOnce)
    complete(Gathering(shared, [Part(replace(ASKED, timed=False), 0.0, 0)], "me"))
    assert engine.made == [0, 1, 2]


def undecided_until(repeats: int, most: int) -> Round:
    """A round whose first repeats carry no verdict."""

    def key(evidence: Evidence) -> Key:
        if len(evidence.repeats) < repeats:
            raise CannotTell("They do not agree.")
        return Key("a")

    return replace(ASKED, key=key, most_repeats=most)


@pytest.mark.parametrize(("decided_at", "most", "made"), [(3, 9, 3), (5, 9, 6), (9, 9, 9), (99, 9, 9), (99, 0, 3)])
def test_repeats_that_carry_no_verdict_are_followed_by_more(
    engine: Engine, clock: Clock, decided_at: int, most: int, made: int
) -> None:
    shared = Shared(engine, LRU(100), SingleFlight(clock), AtOnce)
    parts = [Part(undecided_until(decided_at, most), 0.0, 7), Part(replace(ASKED, name="second"), 0.0, 0)]
    begun = Gathering(shared, parts, "me")
    told = set()
    for _ in range(30):
        begun.advance()
        told.add(begun.undecided)
    assert begun.complete
    assert engine.made == [*range(7, 7 + made), 0, 1, 2]
    assert len(begun.evidence()["first"].logs["one"]) == made
    assert told == {False, True} if made > 3 else {False}


def test_more_repeats_are_shared_like_the_first(engine: Engine, clock: Clock) -> None:
    """By those who ask at the same time, and by those who ask later."""
    shared, asked = Shared(engine, LRU(100), SingleFlight(clock), AtOnce), undecided_until(5, 9)
    both = [Gathering(shared, [Part(asked, 0.0, 0)], who) for who in "ab"]
    for _ in range(30):
        for one in both:
            one.advance()
    later = Gathering(shared, [Part(asked, 0.0, 0)], "c")
    logs = [len(complete(one).logs["one"]) for one in (*both, later)]
    assert logs == [6, 6, 6]
    assert engine.made == [0, 1, 2, 3, 4, 5]


def test_again_is_for_who_asked_and_until_it_is_done(engine: Engine) -> None:
    store = EvidenceStore(engine)

    def gather_all(learner: str) -> Evidence:
        begun = store.gathering(learner, LESSON, ASKED, {})
        for _ in range(20):
            begun.advance()
        store.keep(learner, LESSON, ASKED, begun)
        found = store.evidence(learner, LESSON, ASKED)
        assert found is not None
        return found

    mine = gather_all("me")
    store.again("me", LESSON, ASKED)
    assert store.evidence("me", LESSON, ASKED) is None
    assert gather_all("you").logs == mine.logs
    assert gather_all("me").reused == 0
    store.again("me", LESSON, ASKED)
    store.forget("me")
    assert gather_all("me").reused == 3
