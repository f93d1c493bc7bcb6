"""Every sentence of cause and effect in the course, asserted on the real engine: `make claims`."""

import logging
from collections.abc import Iterator

import pytest

from engine.live.process.front import Front
from lessons import all_lessons
from lessons.evidence import Evidence
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from lessons.live import gather, kitchen

pytestmark = [pytest.mark.claims, pytest.mark.live]

ROUNDS = [(lesson, asked) for lesson in all_lessons() for asked in lesson.rounds]


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with kitchen() as up:
        yield up


@pytest.mark.parametrize(("lesson", "asked"), ROUNDS, ids=[f"{lesson.slug}-{asked.name}" for lesson, asked in ROUNDS])
def test_a_round_has_a_key_and_its_claims_hold(front: Front, lesson: Lesson, asked: Round) -> None:
    evidence = Evidence()
    for earlier in lesson.sources(asked):
        evidence = gather(front, earlier, _setting(earlier)).joined(evidence)
    found = asked.finding(evidence)
    assert isinstance(found, Key), found.why
    told = lesson.answer(asked, evidence, found, {"guess": "", "measured": "", "times": ""})
    logging.getLogger(__name__).info("%s, %s: %s\n%s", lesson.slug, asked.name, found, told)
    assert asked.view is None or asked.shown(evidence)
    broken = [claim.says for claim in lesson.claims if claim.about == asked.name and not claim.holds(evidence)]
    assert not broken


def _setting(asked: Round) -> float:
    return asked.knob.values[0] if asked.knob else 0.0
