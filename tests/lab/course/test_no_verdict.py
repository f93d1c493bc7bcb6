"""A round whose runs carry no verdict, or raise: the guess stays, nothing is scored, and there is a way on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lab.course.lesson_page import Course
from lab.course.progress_page import calibration_words
from lab.ui.formatting import times
from lessons.book import Book
from lessons.evidence import CannotTell, Evidence
from lessons.keys import Key, judged
from lessons.lesson import Lesson
from lessons.question import Curve, Number
from tests.lab.course.test_lessons import (
    ME,
    MadeUpEngine,
    answer,
    button,
    course,  # noqa: F401 (fixtures)
    engine,  # noqa: F401
    show,
    shown,
)
from tests.lab.sample.l99_a_sample.lesson import LESSON as SAMPLE


def lesson_with(key: Callable[[Evidence], Key]) -> Lesson:
    first, *others = SAMPLE.rounds
    return replace(SAMPLE, rounds=(replace(first, key=key), *others))


def run_out(app: AppTest) -> None:
    for _ in range(12):
        app.run()


class Judge:
    """Raises for the runs that it sees first, and answers from later ones."""

    def __init__(self, first: Exception) -> None:
        self.first = first
        self.seen: Evidence | None = None

    def __call__(self, evidence: Evidence) -> Key:
        self.seen = self.seen or evidence
        if evidence.logs["one"][0].events is self.seen.logs["one"][0].events:
            raise self.first
        return Key((5.0,), (5.0,), (5.0,))


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (CannotTell("The repeats say nothing."), "The repeats say nothing."),
        (ZeroDivisionError(), "could not be worked"),
    ],
    ids=["no verdict", "an error"],
)
def test_it_is_not_scored_can_be_run_again_and_is_scored_then(
    course: Course,  # noqa: F811
    engine: MadeUpEngine,  # noqa: F811
    tmp_path: Path,
    first: Exception,
    says: str,
) -> None:
    judge = Judge(first)
    lesson = lesson_with(judge)
    app = show(course, lesson)
    answer(app, lesson, "first")
    for _ in range(12):
        if judge.seen:
            break
        app.run()
    page = shown(app)
    assert says in page
    assert "Your guess: 10,000 ms" in page
    entry = Book(tmp_path / "b", ME).entry(lesson.slug, "first")
    assert entry is not None
    assert entry.outcome is None
    assert button(app, "Next question")
    made = len(engine.made)
    button(app, "Run it again").click().run()
    run_out(app)
    assert len(engine.made) > made
    entry = Book(tmp_path / "b", ME).entry(lesson.slug, "first")
    assert entry is not None
    assert entry.outcome is not None
    assert "Run it again" not in shown(app)


def test_one_can_go_on_without_a_verdict(course: Course) -> None:  # noqa: F811
    def never(evidence: Evidence) -> Key:
        raise CannotTell("Something else was busy.")

    lesson = lesson_with(never)
    app = show(course, lesson)
    answer(app, lesson, "first")
    run_out(app)
    button(app, "Next question").click().run()
    assert lesson.rounds[1].asks in [heading.value for heading in app.subheader]


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({"guessing": (1, 2), "sure": (1, 1)}, "Too little to tell yet"),
        ({"guessing": (4, 12), "fairly sure": (2, 3), "sure": (11, 12)}, "right more often than"),
        ({"guessing": (11, 12), "sure": (3, 12)}, "right less often than"),
        ({"guessing": (13, 25), "sure": (6, 10)}, "Too little to tell whether"),
    ],
)
def test_calibration_says_what_its_intervals_say(counts: dict[str, tuple[int, int]], says: str) -> None:
    assert says in calibration_words(counts)


@pytest.mark.parametrize(
    ("answer", "guess", "measured", "says"),
    [
        (Number("%", 0, 100, log=False), 60.0, 43.0, "it was 43 %, you said 60 %"),
        (Number("ms", 1, 1e5), 70.0, 100.0, "30 % too low"),
        (Number("ms", 1, 1e5), 250.0, 100.0, "too high by a factor of 2.5"),
    ],
)
def test_how_far_off_is_said_as_people_say_it(
    answer: Number,
    guess: float,
    measured: float,
    says: str,
) -> None:
    key = Key((measured,), (measured,), (measured,))
    assert times(answer, (guess,), key, judged((guess,), key)) == says


def test_a_curve_is_off_on_average() -> None:
    key = Key((10.0, 10.0), (10.0, 10.0), (10.0, 10.0))
    curve = Curve((1.0, 2.0), "x", "y", "ms", 1, 100)
    assert times(curve, (20.0, 20.0), key, judged((20.0, 20.0), key)) == "off by a factor of 2 on average"
