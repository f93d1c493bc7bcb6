"""What a lesson's text may say: no answer before the guess, and no number that was not measured."""

import re
from string import Formatter

import pytest

from engine.live.process.run import make_requests
from lessons import all_lessons
from lessons.evidence import turns
from lessons.lesson import Lesson, Round
from lessons.words import TERMS, WORDS, table

LESSONS = all_lessons()
ROUNDS = [(lesson, asked) for lesson in LESSONS for asked in lesson.rounds]
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.slug)
each_round = pytest.mark.parametrize(
    ("lesson", "asked"), ROUNDS, ids=[f"{lesson.slug}-{asked.name}" for lesson, asked in ROUNDS]
)
# names ("token 1", "lesson 2"), a ratio and a factor of the formula may have digits
NAMES = re.compile(r"token [12]|lesson \d+|split 1:1|why 72|same 72 GPUs|2 \(a key and a value\)")


def braces(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_lessons_are_numbered_from_one_without_a_gap() -> None:
    assert [lesson.number for lesson in LESSONS] == list(range(1, len(LESSONS) + 1))


@each_lesson
def test_a_lesson_has_exactly_its_parts(lesson: Lesson) -> None:
    asked = {f"{one.name} {part}" for one in lesson.rounds for part in ("question", "answer")}
    assert set(lesson.parts()) == asked | {"Opening", "Limits", "In the cluster"}
    assert all(lesson.parts().values())


@each_lesson
def test_text_before_the_guess_has_no_measured_values(lesson: Lesson) -> None:
    for part, text in lesson.parts().items():
        if not part.endswith(" answer"):
            assert "{" not in text, part


@each_round
def test_an_answer_contains_no_typed_number(lesson: Lesson, asked: Round) -> None:
    text = lesson.text(f"{asked.name} answer")
    bare = NAMES.sub("", re.sub(r"\{\w+\}", "", text))
    assert not re.findall(r"\d+", bare)
    assert braces(text), "an answer must report a measurement"


@each_lesson
def test_a_lesson_is_a_handful_of_questions(lesson: Lesson) -> None:
    assert 1 <= len(lesson.rounds) <= 4


def test_the_course_takes_less_than_an_hour_and_a_hundred_clicks() -> None:
    """A question takes four: the answer, how sure, lock, next; a lesson one more, on to the next one."""
    clicks = 1 + sum(4 * len(lesson.rounds) + 1 for lesson in LESSONS)
    assert clicks < 100
    assert sum(lesson.minutes for lesson in LESSONS) < 60


def test_exact_quantities_are_measured_once() -> None:
    """What does not depend on time: no repeats, and in all of the course a handful of runs."""
    untimed = [asked for _, asked in ROUNDS if asked.has_runs and not asked.timed]
    assert untimed
    assert all(asked.repeats == 1 for asked in untimed)
    assert sum(len(asked.runs(0.0)) for asked in untimed) <= 4


@each_lesson
def test_claims_are_about_existing_rounds(lesson: Lesson) -> None:
    assert lesson.claims
    assert {claim.about for claim in lesson.claims} <= {asked.name for asked in lesson.rounds}


@each_round
def test_a_rounds_scenarios_are_valid_on_two_workers(lesson: Lesson, asked: Round) -> None:
    for setting in asked.knob.values if asked.knob else (0.0,):
        for turn in turns(asked.runs(setting), range(1)):
            assert turn.scenario.checked().deployment.workers == 2
            assert make_requests(turn.scenario)


def test_the_glossary_defines_every_word_and_term() -> None:
    rows = [row for row in table().splitlines() if row.startswith("|") and not row.startswith("|--")]
    assert len(rows) == len(WORDS) + len(TERMS) + 2
    assert all(cell.strip() for row in rows for cell in row.strip("|").split("|"))


@pytest.mark.parametrize("term", ["ITL", "TTFT", "KV cache", "RAG", "batch", "roofline"])
def test_a_term_is_explained_where_it_first_appears(term: str) -> None:
    """In the first sentence that has it, beside its long name or in bold or italics."""
    told = "\n".join(
        text for lesson in LESSONS for part, text in lesson.parts().items() if part not in ("In the cluster", "Limits")
    ).replace(table(), "")
    first = next(line for line in told.splitlines() if term in line)
    assert re.search(rf"\*[^*]*{term}[^*]*\*|\({term}[,)]|{term} \(", first), first
