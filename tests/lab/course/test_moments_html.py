"""What decided the runs: on their own seconds, and with the guess where the question was how long it lasted."""

import re
from dataclasses import replace

import pytest

from engine.scenario import KINDS
from lab.course.known import Chart
from lab.course.moments_html import moments_html
from lab.course.view import Reveal
from lab.scene.decisive import Decisive, decisive
from lab.scene.recordings import recorded
from lessons import all_lessons
from lessons.keys import Key
from lessons.question import Number

BARS = ("said", "still")
ASKED = next(one for lesson in all_lessons() for one in lesson.rounds if isinstance(one.answer, Number))


def reveal(moments: tuple[Decisive, ...], measured: float, guess: float | None = None) -> Reveal:
    key = Key((measured,), (measured * 0.9,), (measured * 1.1,))
    chart = Chart("", {}, (guess,) if guess is not None else None, key, "measured")
    return Reveal("", "", chart, "", 1, "", None, moments, (), "", "", "", None)


def drawn(found: Reveal, unit: str = "s") -> str:
    assert isinstance(ASKED.answer, Number)
    return moments_html(replace(ASKED, answer=replace(ASKED.answer, unit=unit)), found)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaves_its_axis(kind: str) -> None:
    html = drawn(reveal(decisive([recorded(kind)]), 1.0))
    places = [(float(left), float(width)) for left, width in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", html)]
    assert places
    assert all(0 <= left <= left + width <= 100.01 for left, width in places)


def test_two_runs_stand_on_one_measure_of_time() -> None:
    first, second = decisive([recorded("colocated"), recorded("disaggregated")])
    assert first.end - first.begin == pytest.approx(second.end - second.begin)


def test_the_guess_stands_on_the_run_s_axis_only_where_the_question_was_how_long_it_stood_still() -> None:
    moments = decisive([recorded("colocated")])
    lasted = moments[0].longest_s
    assert lasted > 0
    about_it, in_ms = drawn(reveal(moments, lasted, lasted / 2)), drawn(reveal(moments, lasted * 1e3, 1.0), "ms")
    for html in (about_it, in_ms):
        assert html.count("you said") == 1
        assert html.count("ch-repeat") == 2
    said, still = (float(re.findall(rf'mo-{kind}" style="left:[\d.]+%;width:([\d.]+)', about_it)[0]) for kind in BARS)
    assert said / still == pytest.approx(0.5, rel=0.02)
    for other in (drawn(reveal(moments, lasted * 2, 1.0)), drawn(reveal(moments, lasted, 1.0), "tokens")):
        assert "you said" not in other
    assert "you said" not in drawn(reveal(moments, lasted))


def test_where_no_answer_stood_still_a_sentence_says_so() -> None:
    html = drawn(reveal((Decisive("A kitchen", "No answer stood still"),), 1.0))
    assert "No answer stood still" in html
    assert "<div" not in html
