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

log = logging.getLogger(__name__)
TRIES = 3
ROUNDS = [(lesson, asked) for lesson in all_lessons() for asked in lesson.rounds]


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with kitchen() as up:
        yield up


@pytest.mark.parametrize(("lesson", "asked"), ROUNDS, ids=[f"{lesson.slug}-{asked.name}" for lesson, asked in ROUNDS])
def test_a_round_has_a_key_and_its_claims_hold(front: Front, lesson: Lesson, asked: Round) -> None:
    """A round that the machine could not tell is run again, as its page offers; one that contradicts a claim is not."""
    claims = [claim for claim in lesson.claims if claim.about == asked.name]
    for tries in range(1, TRIES + 1):
        evidence = _gathered(front, lesson, asked)
        found = asked.finding(evidence)
        held = {claim.says: claim.holds(evidence) for claim in claims}
        log.info("%s, %s: %s, %s", lesson.slug, asked.name, found, held)
        if False in held.values() or (isinstance(found, Key) and None not in held.values()):
            break
        log.warning("%s, %s, try %d of %d: %s, claims %s", lesson.slug, asked.name, tries, TRIES, found, held)
    assert isinstance(found, Key), found.why
    assert [says for says, holds in held.items() if not holds] == []
    assert asked.view is None or asked.shown(evidence)
    log.info(lesson.answer(asked, evidence, found, {"guess": "", "measured": "", "times": ""}))


def _gathered(front: Front, lesson: Lesson, asked: Round) -> Evidence:
    evidence = Evidence()
    for earlier in lesson.sources(asked):
        evidence = gather(front, earlier, _setting(earlier)).joined(evidence)
    return evidence


def _setting(asked: Round) -> float:
    return asked.knob.values[0] if asked.knob else 0.0
