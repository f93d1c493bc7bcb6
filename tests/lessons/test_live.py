"""Gathering a round's evidence without a page, on a made-up engine: how often each run is made."""

from types import SimpleNamespace
from typing import Any

import pytest

from engine.events import StepEnded, StepStarted
from engine.live.machine.lull import Lull
from engine.log import Log
from engine.plan import Slice
from engine.scenario import Deployment, ModelSpec, Scenario
from lessons import live
from lessons.evidence import CannotTell, Evidence
from lessons.keys import Key
from lessons.lesson import Round
from lessons.question import Choice


class Engine:
    """Makes each run at once. `noise`: for each run, the share of its step that other programs took."""

    deployment, model = Deployment(), ModelSpec()

    def __init__(self) -> None:
        self.noise: list[float] = []
        self.made: list[int] = []  # seeds

    def run_on(self, front: Any, scenario: Scenario, requests: Any) -> Log:
        self.made.append(scenario.workload.seed)
        lost = self.noise.pop(0) if self.noise else 0.0
        return Log(scenario, (StepStarted(0.0, "w", (Slice("a", 0, 1),), 0, 1, 8), StepEnded(1.0, "w", 1.0 - lost)))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(live, "run_on", engine.run_on)
    monkeypatch.setattr(live, "make_requests", lambda scenario: [])
    monkeypatch.setattr(Lull, "wait", lambda self: None)
    monkeypatch.delenv(live.FAST, raising=False)
    return engine


def gathered(engine: Engine, *, decided_at: int, most: int = 0) -> list[tuple[int, int]]:
    """What its progress says: which run of how many. The round carries no verdict with fewer repeats than that."""

    def key(evidence: Evidence) -> Key:
        if len(evidence.repeats) < decided_at:
            raise CannotTell("They do not agree.")
        return Key("a")

    asked = Round("which", "Which?", Choice({"a": "A"}), key, runs=lambda _: {"one": Scenario()}, most_repeats=most)
    told: list[tuple[int, int]] = []
    front: Any = SimpleNamespace(deployment=engine.deployment, model=engine.model)
    evidence = live.gather(front, asked, progress=lambda turn, number, of: told.append((number, of)))
    assert [log.scenario.workload.seed for log in evidence.logs["one"]] == list(range(len(evidence.repeats)))
    return told


@pytest.mark.parametrize(("decided_at", "most", "made"), [(3, 9, 3), (5, 9, 6), (99, 9, 9), (99, 0, 3)])
def test_repeats_that_carry_no_verdict_are_followed_by_more(
    engine: Engine, decided_at: int, most: int, made: int
) -> None:
    told = gathered(engine, decided_at=decided_at, most=most)
    assert engine.made == list(range(made))
    assert told == [(n, 3 + 3 * (n // 3)) for n in range(made)]


def test_quick_tests_make_each_run_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(live.FAST, "1")
    gathered(engine, decided_at=99, most=9)
    assert engine.made == [0]


def test_a_disturbed_run_is_made_again_and_its_progress_says_so(engine: Engine) -> None:
    engine.noise = [0.5, 0.5, 0.5, 0.5, 0.0]
    assert gathered(engine, decided_at=1) == [(0, 3), (0, 3), (0, 3), (1, 3), (1, 3), (2, 3)]
    assert engine.made == [0, 0, 0, 1, 1, 2]
