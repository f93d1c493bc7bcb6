"""What decided the runs: on their own seconds, and with the guess where the question was how long it lasted."""

import json
import re
from dataclasses import replace

import pytest

from engine.log import Log
from engine.scenario import KINDS
from lab.course.known import Chart, known
from lab.course.moments_html import moments_html
from lab.course.view import Reveal
from lab.scene.decisive import Decisive, decisive
from lab.scene.recordings import recorded
from lessons import all_lessons
from lessons.evidence import Evidence
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


# ---- the three stills


def stills_in(html: str) -> list[tuple[float, str]]:
    """When each is, and its title, from left to right."""
    times = map(float, re.findall(r'data-at="([\d.]+)"', html))
    return list(zip(times, re.findall(r"<figcaption><b>(.*?)</b>", html), strict=True))


@pytest.mark.parametrize("kind", ["colocated", "disaggregated"])
def test_three_stills_hang_on_the_longest_stall_as_they_follow_each_other(kind: str) -> None:
    moments = decisive([recorded(kind)])
    (run,) = moments
    last, until = run.last_token, run.last_token + run.longest_s
    (first, _), (between, _), (went, _) = stills_in(drawn(reveal(moments, 1e9)))
    assert first == pytest.approx(last, abs=1e-5)
    assert last < between < until
    assert went == pytest.approx(until, abs=1e-5)


@pytest.mark.parametrize(("share", "place"), [(0.5, 1), (1.5, 2), (1e4, 2)])
def test_a_guess_hangs_where_the_learner_thought_that_it_would_go_on(share: float, place: int) -> None:
    moments = decisive([recorded("colocated")])
    (run,) = moments
    html = drawn(reveal(moments, run.longest_s, run.longest_s * share))
    at, title = stills_in(html)[place]
    assert title == "When you thought it would go on"
    assert run.hung is not None
    assert at == pytest.approx(min(run.last_token + run.longest_s * share, run.hung.over_s), abs=1e-5)
    assert ("the run was over by then" in html) == (share > 1e3)
    lines = [float(place) for place in re.findall(r'mo-when[^"]*" style="--at:([\d.]+)"', html)]
    assert lines == sorted(lines)
    assert all(0 <= line <= 1 for line in lines)


def test_the_words_say_which_token_came_last_and_which_came_next() -> None:
    moments = decisive([recorded("colocated")])
    hung = moments[0].hung
    assert hung is not None
    assert 0 < hung.made < hung.most
    html = drawn(reveal(moments, 1e9))
    for token in (hung.made, hung.made + 1):
        assert f"order {hung.order}: token {token} of {hung.most}" in html


def test_of_two_runs_one_has_stills_and_it_is_the_one_asked_about() -> None:
    moments = decisive([recorded("colocated"), recorded("disaggregated")])
    for run in moments:
        html = drawn(reveal(moments, run.longest_s, run.longest_s / 2))
        assert html.count("<kitchen-stills") == 1
        assert stills_in(html)[0][0] == pytest.approx(run.last_token, abs=1e-5)


def test_a_page_that_many_have_open_holds_no_run_only_where_it_is() -> None:
    moments = decisive([recorded("colocated")])
    hung = moments[0].hung
    assert hung is not None
    alone, many = drawn(reveal(moments, 1.0)), moments_html(ASKED, reveal(moments, 1.0), "lab/class/stills/ABCDE")
    assert hung.run in alone
    assert hung.run not in many
    assert f'run="lab/class/stills/ABCDE/{hung.name}"' in many
    seen = json.loads(hung.run)["motions"]
    assert {motion["kind"] for motion in seen} >= {"order", "token", "step", "plate"}
    assert not any({"text", "prompt"} & set(motion) for motion in seen), "too small to be read"


def test_a_longer_gap_than_the_stall_that_it_tells_of_is_told_as_well() -> None:
    """The lesson's words speak of the longest pause: so does the caption, where its stall is shorter."""
    lesson = next(one for one in all_lessons() if one.slug == "one-station")
    asked = lesson.round("freeze")

    def caption(log: Log) -> str:
        return known(lesson, asked, Evidence({"with the giant": (log,), "without it": (log,)})).moments[0].says

    froze, longest = caption(recorded("colocated")).split("; the longest gap of the run was ")
    assert (froze, longest) == ("Order 8 froze five answers for 1.10 s", "1.86 s")
    assert "longest gap" not in caption(recorded("chunked"))
