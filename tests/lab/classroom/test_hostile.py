"""Hostile members of a class, speaking the real protocol: each time refused, and the class goes on.

What the rules refuse to everyone is in test_store.py; frames, rates, Origins and other people's runs in test_guard.py.
"""

import csv
import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState

from lab.classroom.store import Ballot
from lab.classroom.tally import as_csv
from lab.ui.learner import COOKIE
from lessons.book import Guess
from tests.lab.conftest import Lab, Visitor, socket_to
from tests.patience import PATIENCE_S, comes

TEACHER, ME, YOU = "T" * 22, "A" * 22, "B" * 22
QUICK = "kitchen=Two+stations+and+a+pass&orders=1&rate=all+at+once&answer=8&prompt=16&long=as+the+others"
SCRIPT = "<script>alert(1)</script> [x](javascript:alert(1)) ![](http://evil.example/a.png)"


@pytest.fixture(scope="module")
def teacher(lab: Lab) -> Iterator[Visitor]:
    with Visitor(lab, page="instructor", cookie=TEACHER) as visitor:
        key = re.search(r"/instructor, with the key (\S+)", lab.said())
        assert key is not None
        if visitor.all("text_input"):  # else this lab has met the teacher before
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


class Learner:
    """A learner's page, or somebody who speaks as it does."""

    def __init__(self, lab: Lab, cookie: str, me: str = "") -> None:
        self._lab, self._cookie, self._me = lab, cookie, me
        self.page: dict[str, Any] = {}

    def __str__(self) -> str:
        return json.dumps(self.page)

    def open(self, code: str) -> str:
        """The page as a browser gets it."""
        headers = {"Cookie": f"{COOKIE}={self._cookie}", "Accept": "text/html"}
        asked = urllib.request.Request(f"{self._lab.url}/join?room={code}", headers=headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            html: str = answer.read().decode()
        data = re.search(r'id="data">(.*?)</script>', html)
        assert data
        self.page = json.loads(data[1])["page"]
        return html

    def send(self, act: str, origin: str = "", **said: object) -> tuple[int, str]:
        """Status, and why it was not done."""
        body = json.dumps({"me": self._me, **said}).encode()
        headers = {"Cookie": f"{COOKIE}={self._cookie}"} | ({"Origin": origin} if origin else {})
        asked = urllib.request.Request(f"{self._lab.url}/lab/class/{act}", body, headers)
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as answer:
            status, content = answer.code, answer.read()
        if not content.startswith(b"{"):
            return status, ""
        told = json.loads(content)
        self.page = told["page"]
        return status, told["why"]

    def ballot(self, reason: str = "", percent: float = 50.0) -> dict[str, object]:
        """The form, filled in. NaN is none in JSON, but Python writes it."""
        guess = {"value": [percent], "confidence": "sure", "reason": reason}
        return {"asked": self.page["asked"], "guess": guess}


def wall(lab: Lab, code: str) -> dict[str, Any]:
    """What the projector's page shows, as a browser gets it."""
    data = re.search(r'id="data">(.*?)</script>', lab.get(f"/projector?room={code}")[2].decode())
    assert data
    page: dict[str, Any] = json.loads(data[1])["page"]
    return page


def join(lab: Lab, code: str, cookie: str) -> Learner:
    learner = Learner(lab, cookie)
    assert learner.send("join", code=code)[0] == 200
    return learner


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
        assert honest.send("vote", vote=honest.ballot()) == (200, "")
        lock = late.ballot()
        teacher.press("Show counts")
        status, why = late.send("vote", vote=lock)
        assert (status, "closed" in why) == (409, True)
        assert "1 of 2" in voted(teacher)
        assert "Vote closed" in str(late)

    def test_a_second_vote_and_another_question(self, lab: Lab, teacher: Visitor, code: str) -> None:
        learner = join(lab, code, ME)
        ballot = learner.ballot()
        assert learner.send("vote", vote=ballot) == (200, "")
        assert learner.send("vote", vote=ballot)[0] == 409
        other: Any = {**ballot, "asked": {**ballot["asked"], "round": "another"}}  # type: ignore[dict-item]
        assert learner.send("vote", vote=other)[0] == 409
        assert voted(teacher) == "1 of 1"

    @pytest.mark.parametrize("percent", [1e9, -5.0, float("nan"), "many", None, [[1]]])
    def test_a_guess_beyond_what_may_be_guessed(self, lab: Lab, teacher: Visitor, code: str, percent: Any) -> None:
        offender = join(lab, code, ME)
        status, _ = offender.send("vote", vote=offender.ballot(percent=percent))
        assert status in (400, 409)
        assert voted(teacher).startswith("0 of")

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"vote": 1}', b"[" * 4000, b"x" * 5000])
    def test_what_is_no_message(self, lab: Lab, teacher: Visitor, code: str, body: bytes) -> None:
        asked = urllib.request.Request(f"{lab.url}/lab/class/vote", body, {"Cookie": f"{COOKIE}={ME}"})
        with pytest.raises(urllib.error.HTTPError) as wrong:
            urllib.request.urlopen(asked, timeout=PATIENCE_S)
        assert wrong.value.code in (400, 413)

    def test_a_vote_from_another_site(self, lab: Lab, teacher: Visitor, code: str) -> None:
        learner = join(lab, code, ME)
        status, _ = learner.send("vote", origin="http://evil.example", vote=learner.ballot())
        assert status == 403
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
        mine.send("vote", vote=mine.ballot("my own reason"))
        assert "my own reason" in str(mine)
        forger = Learner(lab, cookie)
        html = forger.open(code)
        assert "my own reason" not in html
        assert ME not in html
        assert forger.page["step"] == "join"
        with socket_to(
            lab, f"/lab/class?room={code}&sees=page", additional_headers={"Cookie": f"{COOKIE}={cookie}"}
        ) as line:
            line.send(json.dumps({"me": "D" * 22}))
            heard = [line.recv(timeout=PATIENCE_S) for _ in range(2)]
        assert "my own reason" not in str(heard)

    def test_a_cookie_counts_for_more_than_what_a_page_says_of_itself(self, lab: Lab, code: str) -> None:
        mine = join(lab, code, ME)
        mine.send("vote", vote=mine.ballot("my own reason"))
        forger = Learner(lab, "C" * 22, me=ME)
        forger.send("look")
        assert forger.page["step"] == "join"

    def test_a_script_for_a_reason_is_text_to_its_author_and_nothing_to_others(
        self, lab: Lab, teacher: Visitor, code: str
    ) -> None:
        author = join(lab, code, ME)
        author.send("vote", vote=author.ballot(SCRIPT))
        (shown,) = (html for _, html in author.page["parts"] if "alert" in html)
        assert "&lt;script&gt;alert(1)" in shown
        assert not re.search(r"<(script|img|a)\b", shown)
        assert "<script>alert" not in author.open(code)
        teacher.press("Show counts")
        teacher.run()
        assert "alert(" not in said(teacher)
        on_the_wall = json.dumps(wall(lab, code))
        assert "How the class voted" in on_the_wall
        assert "alert(" not in on_the_wall
        assert "alert(" not in str(join(lab, code, YOU))


@pytest.mark.live
def test_who_is_elsewhere_is_told_when_the_class_is_at_a_question(lab: Lab, teacher: Visitor, code: str) -> None:
    def told(page: str, cookie: str = ME) -> bool:
        with Visitor(lab, page=page, cookie=cookie) as visitor:
            return any("Your class is at a question" in link.label for link in visitor.all("page_link"))

    join(lab, code, ME)
    assert told("")
    assert not told("", cookie="D" * 22)
    with Visitor(lab, page="the-kitchen", cookie=ME) as in_a_lesson:
        assert in_a_lesson.component("leave") == {"to": "join"}
        teacher.press("Let all roam freely")
        in_a_lesson.run()
        assert in_a_lesson.component("leave") == {}
    assert not told("")


@pytest.mark.live
def test_a_vote_is_one_message_whose_answer_is_the_next_page(lab: Lab, teacher: Visitor, code: str) -> None:
    learner = join(lab, code, "E" * 22)
    assert learner.page["form"]
    assert learner.send("vote", vote=learner.ballot()) == (200, "")
    assert "form" not in learner.page
    assert "Waiting for the others." in str(learner)
    assert voted(teacher) == "1 of 1"


@pytest.mark.live
def test_without_cookies_a_page_knows_its_learner_itself(lab: Lab, teacher: Visitor, code: str) -> None:
    learner = Learner(lab, "")
    given = re.search(r'"me":"([\w-]{22})"', learner.open(code))
    assert given
    learner = Learner(lab, "", me=given[1])
    assert learner.send("join", code=code) == (200, "")
    assert learner.send("vote", vote=learner.ballot()) == (200, "")
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
        with cooking(lab, ME) as mine:
            mine.press("Offer to the projector")
            teacher.run()
            shows, declines = (
                WidgetState(id=one(teacher, "button", label).id, trigger_value=True)
                for label in ("Put on the projector", "Decline")
            )
            for cookie in (ME, YOU, ""):
                for page in ("instructor", ""):
                    with Visitor(lab, f"room={code}", page=page, cookie=cookie) as forger:
                        forger.say([shows])
                        forger.say([declines])
            assert "kitchen" not in wall(lab, code)
            teacher.say([shows])
            up = wall(lab, code)
            assert "offered by a learner" in up["where"]
            (kitchen,) = up["kitchen"]["kitchens"]
            assert "key=" not in json.dumps(kitchen)  # watched, not commanded
            mine.press("Take it back")
            assert "kitchen" not in wall(lab, code)
            assert "offered by" not in json.dumps(wall(lab, code))


@pytest.mark.parametrize(
    "reason", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '"=1', "=1,=2\n=3", SCRIPT]
)
def test_no_cell_of_the_table_is_a_formula(reason: str) -> None:
    table = as_csv([Ballot("ROOM1", "lesson", "first", 1, 1, "Ada", Guess("a", "sure", reason), "2026-01-01")])
    _, row = csv.reader(io.StringIO(table.decode(), newline=""))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert row[8].removeprefix("'") == reason
