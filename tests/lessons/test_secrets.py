"""Before a guess nothing holds or implies its answer: no text, no run, and nothing shown after an earlier question.

All pairs of questions in the order of the course, over everything that a page shows of the earlier one: its answer, its
charts, its kitchen's motions, and what its free knob simulates.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache

import pytest

from engine.scenario import Scenario
from lab.scene.motions import Motions
from lessons import all_lessons
from lessons.evidence import CannotTell, Evidence
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from lessons.question import Bars, Choice, Lines
from lessons.simulated import simulated, worker_like
from tests.lessons.simulated import gathered

COURSE = [(lesson, asked) for lesson in all_lessons() for asked in lesson.rounds]
NAMES = [f"{lesson.slug}-{asked.name}" for lesson, asked in COURSE]
PAIRS = [(earlier, later) for later in range(len(COURSE)) for earlier in range(later)]
each_pair = pytest.mark.parametrize(("earlier", "later"), PAIRS, ids=[f"{NAMES[a]}-{NAMES[b]}" for a, b in PAIRS])
each_question = pytest.mark.parametrize("later", range(len(COURSE)), ids=NAMES)
SAID = {"guess": "", "measured": "", "times": ""}
TOLD = re.compile(r"(\d[\d,]*\.?\d*) (ms|MB/s|MB|%|times)")

Told = set[tuple[float, str]]  # number, unit


@cache
def evidence_of(at: int) -> Evidence:
    return gathered(*COURSE[at])


@cache
def key_of(at: int) -> Key:
    found = COURSE[at][1].finding(evidence_of(at))
    assert isinstance(found, Key)
    return found


def in_text(text: str) -> Told:
    return {(float(number.replace(",", "")), unit) for number, unit in TOLD.findall(text)}


def in_motions(evidence: Evidence) -> Iterator[tuple[float, str]]:
    """What the kitchen can say of a tray or a pause."""
    for log in (log for repeats in evidence.logs.values() for log in repeats):
        motions = Motions()
        for motion in (motion for event in log.events for motion in motions.fold(event)):
            if nbytes := motion.get("nbytes") or motion.get("bytes"):
                yield nbytes / 1e6, "MB"
            if seconds := motion.get("seconds"):
                yield 1e3 * seconds, "ms"


def by_the_knob(asked: Round, evidence: Evidence) -> Iterator[tuple[float, str]]:
    """What the free knob shows, wherever it is turned."""
    if asked.free is None:
        return
    worker = worker_like(evidence)
    for value in asked.free.knob.values:
        for name, number in asked.free.numbers(simulated(asked.free, worker, value)).items():
            yield number, name.rpartition(", ")[2]


@cache
def shown(at: int) -> Told:
    """All numbers with their units that are there to see once the question is answered."""
    lesson, asked = COURSE[at]
    evidence = evidence_of(at)
    told = in_text(lesson.answer(asked, evidence, key_of(at), SAID))
    match asked.shown(evidence, key_of(at).repeat):
        case Bars(unit, values):
            told |= {(value, unit) for repeats in values.values() for value in repeats}
        case Lines(_, label, points):
            told |= {(y, label.rpartition(", ")[2]) for series in points.values() for _, y in series}
    return told | set(in_motions(evidence)) | set(by_the_knob(asked, evidence))


@cache
def before(at: int) -> str:
    """All prose that stands before this question: all of the lessons before, but for their answers."""
    lesson, asked = COURSE[at]
    passed = [one for one in all_lessons() if one.number < lesson.number]
    parts = [text for one in passed for part, text in one.parts().items() if not part.endswith(" answer")]
    so_far = lesson.rounds[: lesson.rounds.index(asked) + 1]
    parts += [lesson.title, lesson.text("Opening")]
    return "\n".join([*parts, *(lesson.text(f"{one.name} question") + one.asks for one in so_far)])


def holds(told: Told, at: int) -> bool:
    """Whether the whole answer stands among these numbers, in its unit, to three digits."""
    answer, key = COURSE[at][1].answer, key_of(at)
    if isinstance(answer, Choice) or isinstance(key.value, str):
        return False
    numbers = [number for number, unit in told if unit == answer.unit]
    ends = zip(key.low, key.high, strict=True)
    return all(any(low * 0.999 <= number <= high * 1.001 for number in numbers) for low, high in ends)


@each_pair
def test_what_is_shown_of_a_question_does_not_hold_a_later_answer(earlier: int, later: int) -> None:
    assert not holds(shown(earlier), later)


@each_question
def test_the_prose_before_a_question_does_not_hold_its_answer(later: int) -> None:
    lesson, asked = COURSE[later]
    text = before(later)
    assert not holds(in_text(text), later)
    assert "{" not in lesson.text(f"{asked.name} question") + asked.asks
    if isinstance(asked.answer, Choice):
        assert f"**{asked.answer.options[str(key_of(later).value)]}**" not in text


@each_pair
def test_no_earlier_runs_can_be_judged_in_place_of_the_question_s_own(earlier: int, later: int) -> None:
    """Whoever has seen those runs would know."""
    asked = COURSE[later][1]
    if not asked.computed:
        with pytest.raises(CannotTell):
            asked.key(evidence_of(earlier))


@each_question
def test_a_question_is_answered_by_runs_that_nobody_has_seen(later: int) -> None:
    """Not by those of the questions before, which have been on the screen; or the machine is measured for it, or it is
    computed."""
    asked = COURSE[later][1]
    if asked.computed:
        assert not asked.has_runs
        return
    if asked.needs_machine and not any(one.needs_machine for _, one in COURSE[:later]):
        return
    seen = {one for _, before in COURSE[:later] for one in scenarios(before)}
    assert set(scenarios(asked)) - seen


def scenarios(asked: Round) -> Iterable[Scenario]:
    settings = asked.knob.values if asked.knob else (0.0,)
    for setting in settings:
        yield from asked.runs(setting).values()


def test_a_leak_would_be_found() -> None:
    """The first answer, told to who has not yet guessed it."""
    told = {(value, COURSE[0][1].answer.unit) for value in key_of(0).value}  # type: ignore[union-attr]
    assert holds(told, 0)  # type: ignore[arg-type]
    assert not holds({(value, "ms") for value, _ in told}, 0)  # type: ignore[misc]


def test_the_whole_course_is_looked_at() -> None:
    assert len(PAIRS) == len(COURSE) * (len(COURSE) - 1) / 2
    assert {lesson.slug for lesson, _ in COURSE} == {lesson.slug for lesson in all_lessons()}


def test_prose_of_later_lessons_is_not_before() -> None:
    lessons: tuple[Lesson, ...] = all_lessons()
    assert lessons[1].text("Opening") not in before(0)
    assert lessons[0].text("Opening") in before(0)
