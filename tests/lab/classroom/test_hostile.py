"""Hostile members of a class, speaking the real protocol: each time refused, and the class goes on.

What the rules refuse to everyone is in test_store.py; frames, rates, Origins and other people's runs in test_guard.py.
"""

import asyncio
import csv
import io
import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState

from lab.bench import classroom as class_bench
from lab.bench.streamlit_client import Page
from lab.classroom.store import Ballot
from lab.classroom.tally import as_csv
from lessons.book import Guess
from tests.lab.conftest import Lab, Visitor
from tests.patience import comes

TEACHER, ME, YOU = "T" * 22, "A" * 22, "B" * 22
QUICK = "kitchen=Two+stations+and+a+pass&orders=1&rate=all+at+once&answer=8&prompt=16&long=as+the+others"
SCRIPT = "<script>alert(1)</script> [x](javascript:alert(1)) ![](http://evil.example/a.png)"


@pytest.fixture(scope="module")
def teacher(lab: Lab) -> Iterator[Visitor]:
    with Visitor(lab, page="instructor", cookie=TEACHER) as visitor:
        key = re.search(r"/instructor, with the key (\S+)", lab.said())
        assert key is not None
        fill(visitor, {"Instructor's key": key[1]}, "Enter")
        yield visitor


@pytest.fixture
def code(teacher: Visitor) -> str:
    """Of a class that is at the course's first question, and nobody has voted."""
    teacher.press("Open a class")
    teacher.press("Ask this")
    code: str = re.findall(r"with \*\*(\w+)\*\*", said(teacher))[0]
    return code


def fill(visitor: Visitor, fields: dict[str, str], button: str) -> None:
    """Type, and press the button, as one message."""
    widgets = [WidgetState(id=one(visitor, "text_input", name).id, string_value=text) for name, text in fields.items()]
    visitor.say([*widgets, WidgetState(id=one(visitor, "button", button).id, trigger_value=True)])


def one(visitor: Visitor, kind: str, label: str):  # type: ignore[no-untyped-def]  # one of Streamlit's messages
    return next(element for element in visitor.all(kind) if element.label.startswith(label))


def said(visitor: Visitor) -> str:
    """All that the page was sent, as text."""
    return "\n".join(str(element) for element in visitor.elements)


def join(lab: Lab, code: str, cookie: str) -> Visitor:
    visitor = Visitor(lab, f"room={code}", page="join", cookie=cookie)
    visitor.__enter__()
    if any(button.label == "Join" for button in visitor.all("button")):
        visitor.press("Join")
    return visitor


def vote(visitor: Visitor, reason: str = "", percent: float = 50.0) -> list[WidgetState]:
    """Fill in the form; what would lock the vote. NaN is none in JSON, but Python takes it."""
    (number,) = (own for own in visitor.all("bidi_component") if own.component_name.endswith("number"))
    widgets = [
        WidgetState(id=number.id, json_value=json.dumps({"value": percent})),
        WidgetState(id=one(visitor, "radio", "How sure").id, string_value="sure"),
        WidgetState(id=one(visitor, "text_input", "In your own words").id, string_value=reason),
    ]
    return [*widgets, WidgetState(id=one(visitor, "button", "Lock my vote").id, trigger_value=True)]


@contextmanager
def cooking(lab: Lab, cookie: str) -> Iterator[Visitor]:
    """A learner with a small run of the own on the Kitchen page, and it is over."""
    with Visitor(lab, QUICK, cookie=cookie) as cook:

        def over() -> bool:
            cook.run()
            return any(button.label == "Open the kitchen" for button in cook.all("button"))

        cook.open()
        assert comes(over)
        yield cook


def offered(teacher: Visitor) -> str:
    teacher.run()
    return said(teacher).partition("Offered for the projector")[2]


def voted(teacher: Visitor) -> str:
    teacher.run()
    share: str = re.findall(r"(\d+ of \d+) have voted", teacher.component("pulse")["says"])[0]
    return share


@pytest.mark.live
class TestRefused:
    def test_a_vote_after_the_counts_are_shown(self, lab: Lab, teacher: Visitor, code: str) -> None:
        honest, late = join(lab, code, ME), join(lab, code, YOU)
        honest.say(vote(honest))
        lock = vote(late)
        teacher.press("Show counts")
        late.say(lock)
        assert "1 of 2" in voted(teacher)
        assert "Vote closed" in said(late)

    @pytest.mark.parametrize("percent", [1e9, -5.0, float("nan")])
    def test_a_guess_beyond_what_may_be_guessed(self, lab: Lab, teacher: Visitor, code: str, percent: float) -> None:
        offender = join(lab, code, ME)
        offender.say(vote(offender, percent=percent))
        assert voted(teacher).startswith("0 of")

    @pytest.mark.parametrize("button", ["Show counts", "Run once for all", "Ask this", "Delete all", "Export"])
    def test_an_instructor_s_button_without_the_key(self, lab: Lab, teacher: Visitor, code: str, button: str) -> None:
        pressed = WidgetState(id=one(teacher, "button", button).id, trigger_value=True)
        for cookie in (ME, "", "' OR 1=1 --"):
            with Visitor(lab, page="instructor", cookie=cookie) as forger:
                forger.say([pressed])
                assert [element.label for element in forger.all("button")] == ["Enter"]
                assert code not in said(forger)
        assert voted(teacher).startswith("0 of")
        assert "first vote open" in said(teacher)

    @pytest.mark.parametrize("cookie", ["C" * 22, "A" * 21, ME.lower(), "1", f"{ME}x", f'"{ME}"x', "%", "class CODE"])
    def test_another_learner_s_name_that_was_made_up(self, lab: Lab, code: str, cookie: str) -> None:
        mine = join(lab, code, ME)
        mine.say(vote(mine, "my own reason"))
        assert "my own reason" in said(mine)
        with Visitor(lab, f"room={code}", page="join", cookie=cookie) as forger:
            assert "my own reason" not in said(forger)
            assert any(button.label == "Join" for button in forger.all("button"))

    def test_a_script_for_a_reason_is_text_to_its_author_and_nothing_to_others(
        self, lab: Lab, teacher: Visitor, code: str
    ) -> None:
        author = join(lab, code, ME)
        author.say(vote(author, SCRIPT))
        (shown,) = (element for element in author.all("markdown") if "alert" in element.body)
        assert not shown.allow_html
        assert re.search(r"(?<!\\)[<>\[\]()!]", shown.body) is None
        teacher.press("Show counts")
        with Visitor(lab, f"room={code}", page="projector") as wall:
            for other in (teacher, wall, join(lab, code, YOU)):
                other.run()
                assert "alert(" not in said(other)


@pytest.mark.live
def test_who_is_elsewhere_is_told_when_the_class_is_at_a_question(lab: Lab, teacher: Visitor, code: str) -> None:
    def told(page: str, cookie: str = ME) -> bool:
        with Visitor(lab, page=page, cookie=cookie) as visitor:
            return any("Your class is at a question" in link.label for link in visitor.all("page_link"))

    join(lab, code, ME)
    assert told("")
    assert not told("", cookie="D" * 22)
    with Visitor(lab, page="the-kitchen", cookie=ME) as in_a_lesson:
        assert f"Class {code}" in said(in_a_lesson)
        teacher.press("Let all roam freely")
        in_a_lesson.run()
        assert f"Class {code}" not in said(in_a_lesson)
    assert not told("")


@pytest.mark.live
def test_a_vote_is_one_message_and_draws_what_follows_the_question(lab: Lab, teacher: Visitor, code: str) -> None:
    async def fill_and_lock() -> list[str]:
        drawn: list[str] = []
        async with Page(lab.host, "join", f"room={code}", "E" * 22, lambda kind, _: drawn.append(kind)) as page:
            await page.press("Join")
            drawn.clear()
            assert await class_bench.vote(page, random.Random(0))
        return drawn

    assert asyncio.run(fill_and_lock()) == ["fragment"]
    assert voted(teacher) == "1 of 1"


@pytest.mark.live
class TestOnTheWall:
    def test_only_who_has_run_it_offers_it_and_takes_it_back(self, lab: Lab, teacher: Visitor, code: str) -> None:
        join(lab, code, ME)
        join(lab, code, YOU)
        with cooking(lab, ME) as mine, cooking(lab, YOU) as other:
            offers = WidgetState(id=one(mine, "button", "Offer to the projector").id, trigger_value=True)
            with Visitor(lab, QUICK, cookie="C" * 22) as stranger:  # in no class
                stranger.open()
                stranger.say([offers])
                assert not any("projector" in button.label for button in stranger.all("button"))
            assert offered(teacher) == ""
            mine.say([offers])
            assert "1. " in offered(teacher)
            takes = WidgetState(id=one(mine, "button", "Take it back").id, trigger_value=True)
            other.say([takes])
            assert "1. " in offered(teacher)
            mine.say([takes])
            assert offered(teacher) == ""

    def test_nobody_but_the_instructor_puts_it_up(self, lab: Lab, teacher: Visitor, code: str) -> None:
        join(lab, code, ME)
        with cooking(lab, ME) as mine, Visitor(lab, f"room={code}", page="projector") as wall:
            mine.press("Offer to the projector")
            teacher.run()
            shows, declines = (
                WidgetState(id=one(teacher, "button", label).id, trigger_value=True)
                for label in ("Put on the projector", "Decline")
            )
            for cookie in (ME, YOU, ""):
                for page in ("instructor", "projector", "join", ""):
                    with Visitor(lab, f"room={code}", page=page, cookie=cookie) as forger:
                        forger.say([shows])
                        forger.say([declines])
            wall.run()
            assert wall.component("kitchen") == {}
            teacher.say([shows])
            wall.run()
            assert "offered by a learner" in said(wall)
            (kitchen,) = wall.scene["kitchens"]
            assert "key=" not in json.dumps(kitchen)  # watched, not commanded
            mine.press("Take it back")
            wall.run()
            assert wall.component("kitchen") == {}
            assert "offered by" not in said(wall)


@pytest.mark.parametrize(
    "reason", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '"=1', "=1,=2\n=3", SCRIPT]
)
def test_no_cell_of_the_table_is_a_formula(reason: str) -> None:
    table = as_csv([Ballot("ROOM1", "lesson", "first", 1, 1, "Ada", Guess("a", "sure", reason), "2026-01-01")])
    _, row = csv.reader(io.StringIO(table.decode(), newline=""))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert row[8].removeprefix("'") == reason
