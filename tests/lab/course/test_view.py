"""What may be seen of a round, as one value: nothing of the answer before the guess, all of it after."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import msgspec
import pytest

from lab.course.chart_html import drawn_html, table_html
from lab.course.known import Chart
from lab.course.view import InClass, Reveal, RoundView, Untold, round_view
from lessons import all_lessons
from lessons.book import Entry
from lessons.evidence import CannotTell, Evidence
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from tests.lab.sample.l99_a_sample.lesson import LESSON as SAMPLE
from tests.lessons.guesses import guess_of
from tests.lessons.simulated import gathered, setting_of

ROUNDS = [(lesson, asked) for lesson in all_lessons() for asked in lesson.rounds]
each_round = pytest.mark.parametrize(
    ("lesson", "asked"), ROUNDS, ids=[f"{lesson.slug}-{asked.name}" for lesson, asked in ROUNDS]
)
AT = "2026-01-01T10:42:00+00:00"


@cache
def evidence_of(slug: str, name: str) -> Evidence:
    lesson = next(one for one in all_lessons() if one.slug == slug)
    return gathered(lesson, lesson.round(name))


def entry_of(lesson: Lesson, asked: Round) -> Entry:
    guess = msgspec.structs.replace(guess_of(asked), setting=setting_of(asked))
    return Entry(lesson.slug, asked.name, AT, guess)


def said(view: RoundView) -> str:
    return msgspec.json.encode(view).decode()


def key_of(lesson: Lesson, asked: Round) -> Key:
    key = asked.finding(evidence_of(lesson.slug, asked.name))
    assert isinstance(key, Key)
    return key


@each_round
def test_no_evidence_makes_a_difference_before_the_guess(lesson: Lesson, asked: Round) -> None:
    evidence = evidence_of(lesson.slug, asked.name)
    view = round_view(lesson, asked, None, evidence)
    assert view == round_view(lesson, asked, None)
    assert (view.locked, view.found) == (None, None)
    assert view.form is not None
    answer = filter(None, lesson.text(f"{asked.name} answer").splitlines())
    assert not [line for line in answer if line in said(view)]


@each_round
def test_nor_in_a_class_before_the_answer_is_shown(lesson: Lesson, asked: Round) -> None:
    evidence, entry = evidence_of(lesson.slug, asked.name), entry_of(lesson, asked)
    for mine, may_vote in ((None, True), (None, False), (entry, True), (entry, False)):
        of_class = InClass(setting_of(asked), may_vote)
        view = round_view(lesson, asked, mine, evidence, of_class)
        assert view == round_view(lesson, asked, mine, None, of_class)
        assert view.found is None
        assert (view.form is not None) == may_vote


@each_round
def test_after_the_run_everything_is_told(lesson: Lesson, asked: Round) -> None:
    evidence, entry = evidence_of(lesson.slug, asked.name), entry_of(lesson, asked)
    assert round_view(lesson, asked, entry).found is None, "it was not run"
    view = round_view(lesson, asked, entry, evidence)
    assert view.form is None
    assert view.locked is not None
    assert isinstance(view.found, Reveal)
    assert view.found.chart.guess == entry.guess.value
    assert view.found.explains
    assert len(view.found.claims) == sum(claim.about == asked.name for claim in lesson.claims)
    assert (view.found.shows is None) == (asked.view is None)
    assert view.found.headline in said(view)


@each_round
def test_a_class_is_told_without_a_guess_too(lesson: Lesson, asked: Round) -> None:
    of_class = InClass(setting_of(asked), False, key_of(lesson, asked), "a machine")
    view = round_view(lesson, asked, None, evidence_of(lesson.slug, asked.name), of_class)
    assert isinstance(view.found, Reveal)
    assert view.found.headline.startswith(("Measured: ", "Computed: "))
    assert view.found.word == ""
    assert view.found.explains
    assert not {"\1", "\2", "\\u0001", "\\u0002"} & set(re.findall(r"\\u000[12]|[\1\2]", said(view)))
    assert "your guess" not in said(view).lower()


@each_round
def test_in_a_class_nobody_is_asked_to_choose(lesson: Lesson, asked: Round) -> None:
    view = round_view(lesson, asked, None, None, InClass(setting_of(asked), True))
    assert view.asks
    assert ("Your instructor has chosen" in view.chosen) == (asked.knob is not None)
    assert view.form is not None
    assert view.form.knob is None
    if asked.knob is not None:
        assert "choose" not in (view.asks + view.tells).lower()


def test_the_first_outcome_stays_whatever_is_run_later() -> None:
    lesson, asked = next((lesson, asked) for lesson, asked in ROUNDS if asked.name == "freeze")
    entry = entry_of(lesson, asked)
    (key,) = (key_of(lesson, asked),)
    of_class = InClass(0.0, False, Key((1.0,), (1.0,), (1.0,)), "a machine")
    view = round_view(lesson, asked, entry, evidence_of(lesson.slug, asked.name), of_class)
    assert isinstance(view.found, Reveal)
    assert view.found.chart.key == of_class.answer != key


def test_where_the_machine_cannot_tell_it_says_why() -> None:
    def silent(evidence: Evidence) -> Key:
        raise CannotTell("The repeats say nothing.")

    first, *others = SAMPLE.rounds
    lesson = replace(SAMPLE, rounds=(replace(first, key=silent, view=None), *others))
    view = round_view(lesson, lesson.rounds[0], entry_of(lesson, lesson.rounds[0]), Evidence())
    assert view.found == Untold("The repeats say nothing.", None, "")


# ---- the charts as HTML


class Balanced(HTMLParser):
    """Every element is closed where it was opened, and lies within its box."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        for rule in (dict(attributes).get("style") or "").split(";"):
            name, _, value = rule.partition(":")
            if value.endswith("%"):
                assert -0.01 <= float(value[:-1]) <= 100.01, (name, value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def charts(lesson: Lesson, asked: Round) -> Iterator[Chart]:
    found = round_view(lesson, asked, entry_of(lesson, asked), evidence_of(lesson.slug, asked.name)).found
    assert isinstance(found, Reveal)
    yield from filter(None, (found.chart, found.shows))


@each_round
def test_every_chart_is_drawn_with_its_sentence_and_its_table(lesson: Lesson, asked: Round) -> None:
    for chart in charts(lesson, asked):
        html = drawn_html(asked, chart)
        told = Balanced(html)
        assert {cell for column in chart.table.values() for cell in column if cell} <= set(told.texts)
        assert "nan" not in html.lower()


def test_what_a_chart_says_is_no_markup() -> None:
    said = table_html({"<b>": ["<script>alert(1)</script>"]})
    assert Balanced(said).texts == ["<b>", "<script>alert(1)</script>"]
