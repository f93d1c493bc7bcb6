"""Knobs that are free after the answer: simulated at the pace of the learner's own runs."""

import pytest

from lessons import all_lessons
from lessons.evidence import CannotTell, Evidence
from lessons.lesson import Lesson, Round
from lessons.simulated import simulated, worker_like
from tests.lessons.simulated import gathered, log_of

FREE = [(lesson, asked) for lesson in all_lessons() for asked in lesson.rounds if asked.free]
each = pytest.mark.parametrize(("lesson", "asked"), FREE, ids=[f"{lesson.slug}-{asked.name}" for lesson, asked in FREE])


def test_most_lessons_have_one() -> None:
    assert len({lesson.slug for lesson, _ in FREE}) >= 7


@each
def test_where_the_real_runs_stood_the_simulator_says_what_they_showed(lesson: Lesson, asked: Round) -> None:
    free = asked.free
    assert free is not None
    at = asked.knob.values[0] if asked.knob else free.at
    assert at in free.knob.values
    evidence = gathered(lesson, asked)
    runs = {run: (log_of(scenario),) for run, scenario in free.runs(at).items()}
    measured = free.numbers(Evidence(runs, at))
    found = free.numbers(simulated(free, worker_like(evidence), at))
    assert found == {name: pytest.approx(value, rel=0.1) for name, value in measured.items()}


@each
def test_it_can_be_turned_from_end_to_end(lesson: Lesson, asked: Round) -> None:
    """And turning it changes something."""
    free = asked.free
    assert free is not None
    worker = worker_like(gathered(lesson, asked))
    shown = [free.numbers(simulated(free, worker, value)) for value in free.knob.values]
    assert len({frozenset(numbers) for numbers in shown}) == 1
    assert any(len({numbers[name] for numbers in shown}) > 1 for name in shown[0])


def test_a_slower_machine_is_simulated_slower() -> None:
    lesson, asked = next((lesson, asked) for lesson, asked in FREE if lesson.slug == "one-station")
    assert asked.free is not None
    pause = "longest pause, ms"
    usual, slow = (
        asked.free.numbers(simulated(asked.free, worker_like(gathered(lesson, asked, slower=pace)), 512.0))[pause]
        for pace in ((1.0, 1.0, 1.0), (3.0, 3.0, 3.0))
    )
    assert slow == pytest.approx(3 * usual, rel=0.1)


def test_runs_without_steps_simulate_nothing() -> None:
    with pytest.raises(CannotTell, match="too few steps"):
        worker_like(Evidence())
