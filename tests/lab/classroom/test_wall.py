"""What the wall of a class shows, step by step, without an engine and without a browser."""

from html import escape
from pathlib import Path

import pytest

from lab.classroom.light import Page
from lab.classroom.wall import wall_of
from lessons import all_lessons
from lessons.book import Guess
from lessons.keys import Key
from lessons.question import Number
from tests.lab.classroom.test_offer_view import ME, TEACHER, Here

LESSON = next(one for one in all_lessons() if isinstance(one.rounds[0].answer, Number))
ASKED = LESSON.rounds[0]


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def wall(here: Here) -> Page:
    return wall_of(here.classroom, here.code)


def names(page: Page) -> list[str]:
    return [name for name, _ in page.parts]


def test_each_step_has_its_own_wall_and_shows_no_answer_before_it_is_shown(here: Here) -> None:
    actions, code = here.classroom.actions, here.code
    assert (wall(here).stage, wall(here).room) == ("in", code)
    actions.ask(code, TEACHER, LESSON.slug, ASKED.name)
    voting = wall(here)
    assert (voting.stage, "counts" in names(voting)) == ("vote", False)
    assert dict(voting.parts)["heading"] == f"<h1>{escape(ASKED.asks)}</h1>"
    room = actions.room(code)
    assert room is not None
    assert room.question is not None
    assert isinstance(ASKED.answer, Number)
    actions.cast(code, ME, room.question, ASKED, Guess((ASKED.answer.low,), "sure"))
    assert wall(here) == voting, "a vote is told in the status line alone"
    actions.show_counts(code, TEACHER)
    assert (wall(here).stage, names(wall(here))[-1]) == ("talk", "counts")
    actions.vote_again(code, TEACHER)
    assert (wall(here).stage, names(wall(here))[-1], "told" in names(wall(here))) == ("vote", "counts", False)
    actions.show_counts(code, TEACHER)
    assert "found" not in names(wall(here))
    middle = (ASKED.answer.low + ASKED.answer.high) / 2
    actions.show_answer(code, TEACHER, Key((middle,), (middle,), (middle,)), "a machine")
    assert (wall(here).stage, "found" in names(wall(here))) == ("answer", True)
    assert "Measured: " in dict(wall(here).parts)["found"]
    actions.set_pace(code, TEACHER, "free")
    assert wall(here).stage == "in"


def test_a_learner_s_run_takes_the_wall_under_the_name_that_its_learner_allows(here: Here) -> None:
    here.classroom.offers.offer(ME, ["mine"], named=True)
    assert wall(here).stage == "in"
    here.classroom.offers.put_up(here.code, TEACHER, 1)
    up = wall(here)
    assert (up.stage, up.where) == ("offer", "A run of the class, offered by Ada")
    assert up.kitchen is not None
    assert [kitchen["run"] for kitchen in up.kitchen["kitchens"]] == ["mine"]
    assert "key=" not in str(up.kitchen), "nobody can change it"


def test_a_class_that_is_not_there_has_a_wall_that_says_what_to_do(here: Here) -> None:
    page = wall_of(here.classroom, "NONE!")
    assert (page.stage, page.room) == ("none", "")
    assert "instructor's page" in page.parts[0][1]
