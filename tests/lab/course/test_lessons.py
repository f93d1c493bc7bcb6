"""The course: what a page may show before the guess, what it shows after, and that nothing is a dead end.

Logic with AppTest on logs made in virtual time; one lesson by keyboard in Chromium, on the real engine.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

from engine.events import Event
from engine.live.machine.machine import Machine
from engine.scenario import ModelSpec, Scenario
from lab.course.evidence_store import EvidenceStore
from lab.course.lesson_page import ON_GPUS, Course
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.run_feed import Run, RunFeed
from lab.ui.formatting import steps
from lab.ui.learner import Books
from lessons import all_lessons
from lessons.book import Book
from lessons.lesson import AsCook, Lesson
from lessons.question import Choice, Number
from tests.lab.conftest import Lab, open_lab, with_sample
from tests.lab.fake_kitchen import cook, requests
from tests.lab.looks import faults
from tests.lab.sample.l99_a_sample.lesson import LESSON as SAMPLE
from tests.lessons.guesses import guess_of
from tests.patience import PATIENCE_S

MACHINE = Machine("made up", "fp32", 1e11, 1e10, 135_000_000, 28_000_000, 4, 23_040)
ME = "A" * 22


# ---- an engine in virtual time


class MadeUpEngine(EngineClient):
    """Runs are made in virtual time and over at once; with `hold` they begin but do not end."""

    def __init__(self) -> None:
        super().__init__(EngineSettings(), RunFeed(lambda act: act()))
        self.state = "ready"
        self.hold = False
        self.made: list[Run] = []

    def start(self, scenario: Scenario, prompts: tuple[str, ...] = (), *, by: str = "", first: bool = False) -> str:
        workload = scenario.workload
        orders = requests(workload.requests, long_tokens=workload.prompt_tokens)
        return self._add(Run(f"run{len(self.made)}", scenario, by), cook(scenario.deployment.kind, orders))

    def examine(self, *, by: str = "", first: bool = False) -> str:
        self.machine = MACHINE
        return self._add(Run("machine", Scenario()), [])

    def _add(self, run: Run, events: list[Event]) -> str:
        run.events = events
        if not self.hold:
            run.end()
        run.ended_at = "2026-01-01T10:42:00+00:00"
        self.feed.add(run)
        self.made.append(run)
        return run.id

    def stop(self, run: str) -> None:
        known = self.run(run)
        assert known is not None
        known.end()


@pytest.fixture
def engine() -> MadeUpEngine:
    return MadeUpEngine()


@pytest.fixture
def course(engine: MadeUpEngine, tmp_path: Path, no_cookies: None) -> Course:
    return Course(engine, EvidenceStore(engine), Books(tmp_path / "b"), lambda runs: None)  # nobody is in a class


def show(course: Course, lesson: Lesson, at: int | None = None, learner: str = ME) -> AppTest:
    def script(course, lesson) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.course.lesson_page import page

        page(course, lesson, lambda: None, "Next lesson")

    app = AppTest.from_function(script, args=(course, lesson), default_timeout=PATIENCE_S)
    app.session_state["learner"] = learner
    if at is not None:
        app.session_state[f"{lesson.slug} at"] = at
    return app.run()


def shown(app: AppTest) -> str:
    """All that the page has been sent, component payloads and charts included."""
    assert not app.exception
    return "\n".join(str(element.proto) for element in app.main)


def button(app: AppTest, label: str) -> Any:
    return next(button for button in app.button if button.label.startswith(label))


def answer(app: AppTest, lesson: Lesson, name: str) -> None:
    """Fill in the form as a person would, and lock it."""
    asked, key = lesson.round(name), f"{lesson.slug} {name}"
    guess = guess_of(asked)
    if isinstance(asked.answer, Choice):
        app.radio(key=f"{key} choice").set_value(guess.value)
    elif isinstance(asked.answer, Number):
        app.session_state[f"{key} number"] = {"value": guess.value[0]}
    else:
        app.session_state[f"{key} curve"] = {"values": list(guess.value)}
    app.radio(key=f"{key} sure").set_value("sure")
    app.run()
    button(app, "Lock my guess").click().run()


@pytest.mark.parametrize(("device", "says"), [("cpu", False), ("cuda:0,cuda:1", True)])
def test_on_gpus_a_lesson_says_that_its_claims_are_a_cpu_s(
    course: Course, engine: MadeUpEngine, device: str, says: bool
) -> None:
    engine.settings = msgspec.structs.replace(engine.settings, model=ModelSpec(device=device))
    assert any(ON_GPUS in caption.value for caption in show(course, SAMPLE).caption) == says


COURSE = [*all_lessons(), SAMPLE]


@pytest.mark.parametrize("lesson", COURSE, ids=lambda lesson: lesson.slug)
def test_before_the_guess_there_is_no_answer_to_show(
    course: Course, engine: MadeUpEngine, tmp_path: Path, lesson: Lesson
) -> None:
    """Question by question, with all those before it answered but not run."""
    book = Book(tmp_path / "b", ME)
    for at, asked in enumerate(lesson.rounds):
        app = show(course, lesson, at)
        page = shown(app)
        assert asked.asks in [heading.value for heading in app.subheader]
        for line in filter(None, lesson.text(f"{asked.name} answer").splitlines()):
            assert line not in page
        assert not app.get("plotly_chart")
        assert not app.get("download_button")
        assert b'"key"' not in book.export(), "what can be taken home holds a measured value"
        assert not engine.made, "the engine was asked before the guess was locked"
        known = course.evidence.evidence(ME, lesson, asked)
        assert known is None or (asked.computed and not known.logs)
        assert button(app, "Lock my guess").disabled
        book.commit(lesson.slug, asked, guess_of(asked))


def test_a_lesson_from_the_first_question_to_the_last(course: Course, engine: MadeUpEngine, tmp_path: Path) -> None:
    app = show(course, SAMPLE)
    for asked in SAMPLE.rounds:
        answer(app, SAMPLE, asked.name)
        for _ in range(40):
            if Book(tmp_path / "b", ME).entry(SAMPLE.slug, asked.name).outcome:  # type: ignore[union-attr]
                break
            app.run()
        app.run()
        text = "\n".join(words.value for words in (*app.subheader, *app.markdown))
        assert re.search(":material/(check_circle|adjust|cancel): (Right|Close|Off)", text)
        assert "{" not in text
        button(app, "Finish" if asked is SAMPLE.rounds[-1] else "Next question").click().run()
    assert "What you found" in [heading.value for heading in app.subheader]
    assert button(app, "Next lesson")
    assert engine.machine == MACHINE
    assert len(engine.made) == 1 + 3 + 4


def test_an_answer_leads_into_the_game_and_a_question_does_not(course: Course, tmp_path: Path) -> None:
    first, *others = SAMPLE.rounds
    lesson = replace(SAMPLE, rounds=(replace(first, cook=AsCook(1, 4, "Now do it yourself.")), *others))
    app = show(course, lesson)
    assert "Now do it yourself." not in shown(app)
    answer(app, lesson, first.name)
    for _ in range(40):
        if Book(tmp_path / "b", ME).entry(SAMPLE.slug, first.name).outcome:  # type: ignore[union-attr]
            break
        app.run()
    page = shown(app.run())
    assert "Now do it yourself." in page
    assert f"play?level=1&amp;seed=4&amp;from={SAMPLE.slug}" in page


def begins_with(app: AppTest) -> str:
    """The container that the window goes to."""
    data = [json.loads(element.proto.json) for element in app.get("bidi_component")]
    return next(str(one["at"]) for one in data if "step" in one)


def test_while_it_runs_the_window_begins_with_the_guess_so_that_the_kitchen_is_in_it(course: Course) -> None:
    app = show(course, SAMPLE)
    assert begins_with(app) == "arrive"
    answer(app, SAMPLE, "first")
    assert begins_with(app) == "locked"
    for _ in range(8):
        app.run()
    assert "You said 10,000 ms" in shown(app)
    assert begins_with(app) == "arrive"


def test_a_locked_guess_stays_and_the_run_goes_on_after_a_reload(course: Course) -> None:
    app = show(course, SAMPLE)
    answer(app, SAMPLE, "first")
    again = show(course, SAMPLE)
    assert "Your guess: 10,000 ms" in shown(again)
    assert "How sure are you?" not in shown(again)
    for _ in range(8):
        again.run()
    assert "You said 10,000 ms" in shown(again)
    assert "You said 10,000 ms" in shown(show(course, SAMPLE))


def test_a_cancelled_or_failed_run_can_be_run_again(course: Course, engine: MadeUpEngine) -> None:
    engine.hold, engine.machine = True, MACHINE
    app = show(course, SAMPLE)
    answer(app, SAMPLE, "first")
    button(app, "Cancel the run").click().run()
    assert button(app, "Run it now")
    button(app, "Run it now").click().run()
    (on,) = [run for run in engine.made if not run.over]
    on.end("A worker died.")
    app.run()
    assert "A worker died." in shown(app)
    engine.hold = False
    button(app, "Run it now").click().run()
    for _ in range(8):
        app.run()
    assert button(app, "Next question")


def test_after_a_restart_the_outcome_stands_and_can_be_run_again(course: Course) -> None:
    app = show(course, SAMPLE)
    answer(app, SAMPLE, "first")
    for _ in range(8):
        app.run()
    course.evidence.forget(ME)
    app = show(course, SAMPLE)
    assert "measured" in shown(app)
    assert "You said" not in shown(app)
    button(app, "Run it again").click().run()
    for _ in range(8):
        app.run()
    assert "You said 10,000 ms" in shown(app)


def test_what_somebody_has_run_before_is_said_to_be_and_can_be_run_again(course: Course, engine: MadeUpEngine) -> None:
    def ask(learner: str) -> AppTest:
        app = show(course, SAMPLE, learner=learner)
        answer(app, SAMPLE, "first")
        for _ in range(4):
            app.run()
        return app

    assert "3 runs with seeds 0 to 2, measured at 10:42 UTC." in shown(ask(ME))
    made = len(engine.made)
    second = ask("B" * 22)
    assert len(engine.made) == made
    assert "All of them were made before, with the same settings and seeds." in shown(second)
    button(second, "Run it again for me").click().run()
    for _ in range(4):
        second.run()
    assert len(engine.made) == made + 3
    assert "made before" not in shown(second)


@pytest.mark.parametrize(
    ("low", "high", "log"), [(1, 10_000, True), (0.5, 7, True), (0, 100, False), (1e-3, 1e6, True)]
)
def test_a_slider_has_coarse_steps_from_end_to_end(low: float, high: float, log: bool) -> None:
    stops = steps(low, high, log)
    assert stops == sorted(set(stops))
    assert (stops[0], stops[-1]) == (low, high)
    assert 10 <= len(stops) <= 40


# ---- in the browser


@pytest.fixture(scope="module")
def sample_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(root=with_sample(tmp_path_factory.mktemp("project"))) as running:
        yield running


class Learner:
    """A person with a keyboard."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page, self.lab = page, lab
        self.errors: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._console(message.text, message.location["url"], message.type))
        page.on("request", lambda request: self.asked.append(request.url))

    def _console(self, text: str, url: str, kind: str) -> None:
        # Streamlit looks for its server below the page's own path first, and is told that it is not there
        if kind == "error" and not re.search(r"/[a-z-]+/_stcore/", url):
            self.errors.append(f"{text} {url}")

    def tab_to(self, role: Any, name: str | re.Pattern[str]) -> None:
        target = self.page.get_by_role(role, name=name).first
        expect(target).to_be_enabled()
        for _ in range(40):
            if target.evaluate("node => node.getRootNode().activeElement === node"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {name} with the tab key")

    def press(self, role: Any, name: str, *keys: str) -> None:
        self.tab_to(role, name)
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, name: str) -> None:
        """A radio group is one stop for the tab key; within it the arrow keys choose."""
        wanted = self.page.get_by_role("radio", name=name, exact=True)
        group = self.page.get_by_role("radiogroup").filter(has=wanted)
        self.tab_to("radio", group.get_by_role("radio").first.evaluate("node => node.labels[0].textContent"))
        self.page.keyboard.press("Space")
        for _ in range(group.get_by_role("radio").count()):
            if wanted.is_checked():
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"no way to {name} with the arrow keys")

    def is_sound(self) -> None:
        assert faults(self.page) == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert self.errors == []
        assert [
            url for url in self.asked if f"//{self.lab.host}/" not in url and not url.startswith(("blob:", "data:"))
        ] == []


@pytest.mark.browser
@pytest.mark.live
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_lesson_by_keyboard(browser: Browser, sample_lab: Lab, width: int, scheme: Any) -> None:
    window = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce", accept_downloads=True
    )
    me = Learner(window.new_page(), sample_lab)
    page = me.page
    try:
        page.goto(sample_lab.url + "/progress")
        me.press("button", "To the lessons", "Enter")
        expect(page.get_by_role("heading", name="One guess at a time")).to_be_visible()
        me.is_sound()
        me.press("link", "99. How long until the first token?", "Enter")

        me.press("slider", "Your guess, ms", "ArrowLeft", "ArrowLeft")
        expect(page.get_by_label("or exactly, ms")).not_to_have_value("")
        me.choose("guessing")
        me.is_sound()
        me.press("button", "Lock my guess and run", "Enter")
        answered = page.get_by_role("heading", name=re.compile("Right|Close|Off"))
        expect(page.get_by_text(re.compile("Run . of [34]")).or_(answered)).to_be_visible()  # or somebody has run it
        page.reload()  # in the middle: the guess and the runs are the server's
        expect(answered).to_be_visible()
        expect(page.get_by_role("button", name="Next question")).to_be_visible()
        me.is_sound()

        me.press("button", "Next question", "Enter")
        expect(page.get_by_role("heading", name="How does it grow with the prompt?")).to_be_focused()
        point = page.get_by_role("slider", name="TTFT at 512 prompt, tokens")
        me.press("slider", "TTFT at 512 prompt, tokens", "ArrowUp", "PageUp")
        expect(point).not_to_have_attribute("aria-valuetext", "100 ms")
        me.choose("sure")
        me.is_sound()
        me.press("button", "Lock my guess and run", "Enter")
        expect(page.get_by_role("heading", name=re.compile("Right|Close|Off"))).to_be_visible()
        expect(page.get_by_text("Holds on your runs:").or_(page.get_by_text("Not so on your runs:"))).to_be_visible()
        me.is_sound()

        me.press("button", "Next question", "Enter")
        me.choose("The length of the prompt")
        me.choose("sure")
        me.press("button", "Lock my guess", "Enter")
        expect(page.get_by_role("heading", name="Right.")).to_be_visible()
        me.is_sound()
        me.press("button", "Finish the lesson", "Enter")
        expect(page.get_by_role("heading", name="What you found")).to_be_visible()
        me.press("button", "Your own GPUs", "Enter")
        expect(page.get_by_role("heading", name="Your lab")).to_be_visible()
        page.goto(sample_lab.url + "/progress")

        expect(page.get_by_role("heading", name="Do you know when you know?")).to_be_visible()
        me.is_sound()
        with page.expect_download() as download:
            me.press("button", "Export (JSONL)", "Enter")
        lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
        assert [(line["round"], line["outcome"]["verdict"]["word"] != "") for line in lines] == [
            ("first", True),
            ("grows", True),
            ("check", True),
        ]
        (cookie,) = [cookie for cookie in window.cookies() if cookie["name"] == "split_kitchen_learner"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        assert not any(cookie["value"] in url for url in me.asked)
        me.press("button", "Delete everything", "Enter")
        me.press("button", "Yes, delete", "Enter")
        expect(page.get_by_role("button", name="To the lessons")).to_be_visible()
    finally:
        window.close()
