"""Gathering evidence, on a made-up engine: what is reused, what is made once more, and which seeds it has."""

import time
from types import SimpleNamespace

import pytest

from engine.events import Event, StepEnded, StepStarted
from engine.log import Log
from engine.plan import Slice
from engine.scenario import Scenario
from lab.course import evidence_runs as gather, single_flight as leads
from lab.course.evidence_runs import Gathering, Part, says
from lab.course.evidence_store import Gathered
from lab.course.kept_runs import KeptRuns
from lab.course.single_flight import SILENT_S, Leads
from lab.runs.run_feed import Run
from lab.ui.formatting import made_words
from lessons.evidence import Evidence
from lessons.keys import Key
from lessons.lesson import Round
from lessons.question import Choice

ASKED = Round("first", "Which?", Choice({"a": "A"}), key=lambda _: Key("a"), runs=lambda _: {"one": Scenario()})
LESSON = SimpleNamespace(slug="lesson", sources=lambda asked: (asked,))


class Engine:
    """Makes each run when it is asked for; `noise` says, run by run, which share of its steps somebody else had."""

    def __init__(self) -> None:
        self.hub = SimpleNamespace(runs={})
        self.state, self.machine = "ready", None
        self.noise: list[float] = []
        self.waits = False
        self.made: list[int] = []  # seeds
        self.stopped: list[str] = []

    def start(self, scenario: Scenario, *, by: str, first: bool) -> str:
        run = Run(f"run-{len(self.made)}", scenario, by)
        noise = self.noise.pop(0) if self.noise else 0.0
        ends: list[Event] = [StepStarted(0.0, "w", (Slice("a", 0, 1),), 0, 1, 8), StepEnded(1.0, "w", 1.0 - noise)]
        run.events, run.over, run.ended_at = ends, not self.waits, f"2026-01-01T10:42:{len(self.made):02d}+00:00"
        self.made.append(scenario.workload.seed)
        self.hub.runs[run.id] = run
        return run.id

    def log(self, run: str) -> Log:
        known = self.hub.runs[run]
        return Log(known.scenario, tuple(known.events), "", known.ended_at)

    def place(self, run: str) -> int:
        return int(self.waits)

    def queue_words(self, run: str) -> str:
        return ""

    def stop(self, run: str) -> None:
        self.stopped.append(run)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(gather, "ENGINE_ROOM", made)
    monkeypatch.setattr(gather, "KEPT_RUNS", KeptRuns())
    monkeypatch.setattr(gather, "LEADS", Leads())
    return made


def gathered(*, seed: int = 0, for_all: bool = False, fresh: bool = False) -> Evidence:
    begun = Gathering([Part(ASKED, 0.0, seed)], "me", for_all=for_all, fresh=fresh)
    for _ in range(20):
        begun.advance()
    assert begun.complete
    return begun.evidence()["first"]


def said(evidence: Evidence) -> str:
    assert evidence.made is not None
    return made_words(evidence.made)


def test_the_repeats_have_the_seed_and_those_after_it(engine: Engine) -> None:
    assert said(gathered(seed=7)) == "3 runs with seeds 7 to 9, measured at 10:42 UTC."
    assert engine.made == [7, 8, 9]


def test_the_same_settings_and_seed_are_not_run_twice(engine: Engine) -> None:
    first, second = gathered(), gathered()
    assert engine.made == [0, 1, 2]
    assert second.logs == first.logs
    assert (first.reused, second.reused) == (0, 3)
    assert said(second).endswith("All of them were made before, with the same settings and seeds.")


def test_what_has_another_seed_is_run_all_of_it(engine: Engine) -> None:
    """Also the repeats that have a seed in common: runs are compared with those that were made beside them."""
    gathered(seed=0)
    assert gathered(seed=2).reused == 0
    assert engine.made == [0, 1, 2, 2, 3, 4]


def test_who_asks_for_it_has_it_run_again_and_later_ones_get_the_newest(engine: Engine) -> None:
    first, again = gathered(), gathered(fresh=True)
    assert (again.reused, engine.made) == (0, [0, 1, 2] * 2)
    assert again.logs["one"][0].recorded_at > first.logs["one"][0].recorded_at
    assert gathered().logs == again.logs


def test_thirty_who_ask_the_same_at_once_have_it_run_once(engine: Engine) -> None:
    class_ = [Gathering([Part(ASKED, 0.0, 0)], f"learner {n}") for n in range(30)]
    for _ in range(6):
        for one in class_:
            one.advance()
    assert engine.made == [0, 1, 2]
    assert all(one.complete for one in class_)
    evidence = [one.evidence()["first"] for one in class_]
    assert all(one.logs == evidence[0].logs for one in evidence)
    assert [one.reused for one in evidence] == [0] + [3] * 29


def test_who_asks_second_watches_the_first_one_s_runs_and_can_go(engine: Engine) -> None:
    engine.waits = True  # no run ends
    first, second, third = (Gathering([Part(ASKED, 0.0, 0)], who) for who in "abc")
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


def test_who_closes_the_page_leads_no_longer(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Gathering([Part(ASKED, 0.0, 0)], who) for who in "ab")
    first.advance()
    second.advance()
    assert second.on is first
    later_s = time.monotonic() + SILENT_S + 1
    monkeypatch.setattr(leads.time, "monotonic", lambda: later_s)
    for _ in range(6):
        second.advance()
    assert second.complete
    assert second.evidence()["first"].reused == 0


def test_a_class_waits_for_nobody_and_others_wait_for_it(engine: Engine) -> None:
    engine.waits = True
    learner, room = Gathering([Part(ASKED, 0.0, 0)], "me"), Gathering([Part(ASKED, 0.0, 0)], "class", for_all=True)
    late, own = Gathering([Part(ASKED, 0.0, 0)], "you"), Gathering([Part(ASKED, 0.0, 0)], "me too", fresh=True)
    for one in (learner, room, late, own):
        one.advance()
    assert (learner.run, room.run, late.on, own.run) == ("run-0", "run-1", room, "run-2")


def test_who_shared_a_disturbed_run_is_told_so(engine: Engine) -> None:
    engine.noise = [0.5]
    both = [Gathering([Part(ASKED, 0.0, 0)], who) for who in "ab"]
    for _ in range(6):
        for one in both:
            one.advance()
    assert engine.made == [0, 1, 2]
    assert all("1 of them was disturbed" in said(one.evidence()["first"]) for one in both)


def test_a_disturbed_run_is_said_to_be_and_given_to_nobody_else(engine: Engine) -> None:
    engine.noise = [0.0, 0.5]
    assert said(gathered()).endswith("1 of them was disturbed by something else on this machine.")
    assert gathered().reused == 0
    assert engine.made == [0, 1, 2] * 2
    assert gathered().reused == 3


def test_for_a_class_a_disturbed_run_is_made_once_more(engine: Engine) -> None:
    engine.noise = [0.0, 0.5]
    evidence = gathered(for_all=True)
    assert engine.made == [0, 1, 1, 2]
    assert "disturbed" not in said(evidence)
    assert len(evidence.logs["one"]) == 3


def test_once_more_and_not_for_ever_and_then_it_says_so(engine: Engine) -> None:
    engine.noise = [0.0, 0.5, 0.5]
    evidence = gathered(for_all=True)
    assert engine.made == [0, 1, 1, 2]
    assert said(evidence).endswith("1 of them was disturbed by something else on this machine.")
    engine.noise = [0.9] * 12
    everything = gathered(seed=100, for_all=True)
    assert engine.made[4:] == [100, 100, 101, 101, 102, 102]
    assert said(everything).endswith("All of them were disturbed by something else on this machine.")


def test_again_is_for_who_asked_and_until_it_is_done(engine: Engine) -> None:
    kept = Gathered()

    def gather_all(learner: str) -> Evidence:
        begun = kept.gathering(learner, LESSON, ASKED, {})  # type: ignore[arg-type]
        for _ in range(20):
            begun.advance()
        kept.keep(learner, LESSON, ASKED, begun)  # type: ignore[arg-type]
        found = kept.evidence(learner, LESSON, ASKED)  # type: ignore[arg-type]
        assert found is not None
        return found

    mine = gather_all("me")
    kept.again("me", LESSON, ASKED)  # type: ignore[arg-type]
    assert kept.evidence("me", LESSON, ASKED) is None  # type: ignore[arg-type]
    assert gather_all("you").logs == mine.logs
    assert gather_all("me").reused == 0
    kept.again("me", LESSON, ASKED)  # type: ignore[arg-type]
    kept.forget("me")
    assert gather_all("me").reused == 3
