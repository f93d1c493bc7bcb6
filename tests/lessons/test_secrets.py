"""Before a guess nothing says its answer: no text, no run, and no answer to an earlier question of the lesson."""

import re
from functools import cache

import pytest

from lessons import all_lessons
from lessons.evidence import Evidence
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from lessons.question import Bars, Choice, Lines
from tests.lessons.simulated import gathered

PAIRS = [
    (lesson, earlier, later)
    for lesson in all_lessons()
    for n, later in enumerate(lesson.rounds)
    for earlier in lesson.rounds[:n]
]
each_pair = pytest.mark.parametrize(
    ("lesson", "earlier", "later"), PAIRS, ids=[f"{one.slug}-{a.name}-{b.name}" for one, a, b in PAIRS]
)
SAID = {"guess": "", "measured": "", "times": ""}


@cache
def evidence_of(slug: str, name: str) -> Evidence:
    lesson = next(lesson for lesson in all_lessons() if lesson.slug == slug)
    return gathered(lesson, lesson.round(name))


def key_of(lesson: Lesson, asked: Round) -> Key:
    found = asked.finding(evidence_of(lesson.slug, asked.name))
    assert isinstance(found, Key)
    return found


def revealed(lesson: Lesson, asked: Round) -> str:
    """All that is shown once `asked` is answered."""
    evidence = evidence_of(lesson.slug, asked.name)
    said = lesson.answer(asked, evidence, key_of(lesson, asked), SAID)
    match asked.shown(evidence):
        case Bars(_, values):
            said += "\n" + "\n".join(f"{value:.10g}" for repeats in values.values() for value in repeats)
        case Lines(_, _, points):
            said += "\n" + "\n".join(f"{y:.10g}" for series in points.values() for _, y in series)
    return said


@each_pair
def test_an_answer_does_not_hold_a_later_one(lesson: Lesson, earlier: Round, later: Round) -> None:
    """As a number that is as good as right, told to three digits."""
    key, told = key_of(lesson, later), revealed(lesson, earlier)
    if isinstance(key.value, str):
        assert isinstance(later.answer, Choice)
        assert f"**{later.answer.options[key.value]}**" not in told
        return
    numbers = {float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*\.?\d*", told)}
    told_exactly = [
        value
        for value, low, high in zip(key.value, key.low, key.high, strict=True)
        if any(low * 0.999 <= number <= high * 1.001 and number > 20 for number in numbers)
    ]
    assert len(told_exactly) < len(key.value), "the whole answer stands there"


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_what_is_said_before_a_guess_names_no_option_as_the_answer(lesson: Lesson) -> None:
    for asked in lesson.rounds:
        before = lesson.text(f"{asked.name} question") + asked.asks
        assert "{" not in before
        assert "Measured" not in before
