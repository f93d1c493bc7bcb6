"""Every light page of a class as its browser draws it, without an engine: axe finds no fault, nothing is too wide."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from lab.classroom import light
from lab.classroom.service import Classroom
from lab.classroom.wall import wall_of
from lab.course.known import Known, known
from lab.web import class_routes
from lessons import all_lessons
from lessons.book import Guess
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from lessons.question import Choice, Curve
from tests.lab.classroom.test_offer_view import ME, TEACHER, Here
from tests.lab.looks import faults
from tests.lessons.guesses import guess_of
from tests.lessons.simulated import gathered

LESSON = next(one for one in all_lessons() if one.slug == "one-station")
ASKED = LESSON.rounds[0]
ADDRESS = "http://lab.example"
WINDOWS = {"page": [(390, "dark"), (1280, "light")], "wall": [(1920, "light"), (1920, "dark")]}


@pytest.fixture(scope="module")
def answer() -> Known:
    return known(LESSON, ASKED, gathered(LESSON, ASKED), of_class=True)


@pytest.fixture
def here(tmp_path: Path, answer: Known, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(Classroom, "known", lambda *_: answer)
    return Here(tmp_path)


def asks(kind: type) -> tuple[Lesson, Round]:
    return next((lesson, one) for lesson in all_lessons() for one in lesson.rounds if isinstance(one.answer, kind))


def steps(here: Here) -> Iterator[str]:
    """A class from its way in to the answer, and beyond."""
    actions, code = here.classroom.actions, here.code

    def vote(lesson: Lesson, asked: Round) -> None:
        room = actions.room(code)
        assert room is not None
        assert room.question is not None
        guess = guess_of(asked)
        actions.cast(code, ME, room.question, asked, Guess(guess.value, "sure", "because <b>", room.question.setting))

    yield "free"
    for kind in (Choice, Curve):
        lesson, asked = asks(kind)
        actions.ask(code, TEACHER, lesson.slug, asked.name, asked.knob.values[0] if asked.knob else 0.0)
        yield f"a {kind.__name__}".lower()
    actions.ask(code, TEACHER, LESSON.slug, ASKED.name)
    yield "a number"
    vote(LESSON, ASKED)
    yield "voted"
    actions.show_counts(code, TEACHER)
    yield "counts"
    actions.vote_again(code, TEACHER)
    yield "second vote"
    actions.show_answer(code, TEACHER, key_of(here), "a machine")
    yield "answer"
    actions.ask(code, TEACHER, "a-lesson-of-another-lab", "first")
    yield "gone"
    actions.leave(ME)
    yield "join"


def key_of(here: Here) -> Key:
    now = here.classroom.known(None, LESSON, ASKED).now  # type: ignore[arg-type,union-attr]
    assert isinstance(now, Key)
    return now


class Window:
    """A browser that is given a page of the lab, and its modules, without a lab. Its socket is never answered."""

    def __init__(self, browser: Browser, here: Here, width: int, scheme: str) -> None:
        size = {"width": width, "height": 1080 if width > 1280 else 844}
        self.context: BrowserContext = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.width, self._here, self._html = width, here, b""
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route("**/*", self._answer)
        self.page.route_web_socket("**/*", lambda line: None)

    def show(self, drawn: light.Page, sees: str) -> None:
        name = {"page": "class", "wall": "wall"}[sees]
        self._html = bytes(class_routes._page(name, drawn, me="", room="", url="", sees=sees).body)
        self.page.goto(f"{ADDRESS}/{name}")
        expect(self.page.locator("#parts > *").first).to_be_visible()

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path.removeprefix("/")
        if path in ("class", "wall"):
            route.fulfill(body=self._html, content_type="text/html")
        elif path.startswith("lab/class/stills/"):
            run = light.stills_of(self._here.classroom, *path.split("/")[-2:])
            route.fulfill(body=run or "", status=200 if run else 404, content_type="application/json")
        elif path == "lab/class/qr":
            route.fulfill(body=class_routes._drawn(f"{ADDRESS}/join"), content_type="image/svg+xml")
        else:
            packed = next((body for body, at in class_routes.modules().values() if at == path), None)
            kind = "text/css" if path.endswith("css") else "text/javascript"
            route.fulfill(
                body=gzip.decompress(packed) if packed else b"", status=200 if packed else 404, content_type=kind
            )


def drawn_by(here: Here, sees: str) -> Callable[[], light.Page]:
    if sees == "wall":
        return lambda: wall_of(here.classroom, here.code)
    return lambda: light.page_of(here.classroom, ME)


@pytest.mark.browser
@pytest.mark.parametrize("sees", ["page", "wall"])
def test_every_step_can_be_used_by_everybody(browser: Browser, here: Here, sees: str) -> None:
    windows = [Window(browser, here, *how) for how in WINDOWS[sees]]
    draw = drawn_by(here, sees)
    for n, step in enumerate(steps(here)):
        if sees == "wall" and step == "join":
            break
        window = windows[n % 2]
        window.show(draw(), sees)
        if step == "answer":
            expect(window.page.locator(".mo-stills svg.sk-still")).to_have_count(3)
        assert (step, faults(window.page)) == (step, [])
        assert window.page.evaluate("document.documentElement.scrollWidth") <= window.width, step
        assert window.errors == [], step
    for window in windows:
        window.context.close()


def test_the_run_behind_the_stills_is_told_with_the_answer_and_not_before(here: Here, answer: Known) -> None:
    hung = next(one.hung for one in answer.moments if one.hung)
    told = {step: light.stills_of(here.classroom, here.code, hung.name) for step in steps(here)}
    assert {step for step, run in told.items() if run is not None} == {"answer"}
    assert told["answer"] == hung.run
    assert light.stills_of(here.classroom, here.code, "another") is None
    assert light.stills_of(here.classroom, "NONE!", hung.name) is None
