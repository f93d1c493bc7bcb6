"""A class in Chromium: an instructor, a projector and six learners, one of them without cookies, go through a whole
lesson on the real engine; the server is killed in the middle of a vote."""

import csv
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, ViewportSize, expect

from tests.lab.conftest import CHROMIUM, FLAGS, Lab, open_lab, with_sample
from tests.lab.looks import faults, wear
from tests.patience import PATIENCE_S, comes

KEY = "the instructor's own key"
LEARNERS = 6
SHOTS = os.environ.get("SPLIT_KITCHEN_TEST_SHOTS", "")  # a folder for pictures, to look at by hand


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Opens the lab, and opens it again where it was after it has been killed."""
    root = with_sample(tmp_path / "project")
    env = {"SPLIT_KITCHEN_DATA": str(tmp_path / "data"), "SPLIT_KITCHEN_INSTRUCTOR_KEY": KEY}
    with ExitStack() as labs:
        yield lambda **options: labs.enter_context(open_lab(root=root, env=env, **options))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def choose(page: Page, label: str, option: str) -> None:
    """Streamlit closes a list that was opened while it drew; it is opened again then."""
    wanted = page.get_by_role("option", name=re.compile(re.escape(option)))

    def offered() -> bool:
        if not wanted.is_visible():
            page.get_by_role("combobox", name=re.compile(label)).click()
            page.wait_for_timeout(500)
        return wanted.is_visible()

    assert comes(offered)
    wanted.click()


def sure_of_it(page: Page) -> None:
    page.get_by_text("fairly sure", exact=True).click()
    press(page, "Lock my vote")
    expect(page.get_by_text("Waiting for the others.")).to_be_visible()


def vote(page: Page, ms: str) -> None:
    exactly = page.get_by_label("or exactly, ms")
    exactly.fill(ms)
    exactly.press("Tab")
    expect(page.get_by_role("slider", name="Your guess, ms")).not_to_have_attribute("aria-valuetext", "100 ms")
    sure_of_it(page)


def draw(page: Page) -> None:
    point = page.get_by_role("slider", name="TTFT at 512 prompt, tokens")
    point.press("PageUp")
    expect(point).not_to_have_attribute("aria-valuetext", "100 ms")
    sure_of_it(page)


def sound(page: Page, what: str, width: int, scheme: str) -> None:
    """Accessible as far as rules can tell, and as wide as the window."""
    page.set_viewport_size({"width": width, "height": 1080 if width > 1280 else 844})
    for look in ("light", "dark") if SHOTS else (scheme,):
        wear(page, look)
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{what}-{look}.png")
        assert (what, look, faults(page)) == (what, look, [])
        assert page.evaluate("document.documentElement.scrollWidth") <= width, what


def without_cookies(browser: Browser, folder: Path) -> BrowserContext:
    """A phone's window of a browser that keeps neither cookies nor anything else for a site."""
    preferences = folder / "no-cookies" / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text('{"profile": {"default_content_setting_values": {"cookies": 2}}}')
    window = browser.browser_type.launch_persistent_context(
        folder / "no-cookies",
        executable_path=CHROMIUM,
        args=FLAGS,
        viewport={"width": 390, "height": 844},
        reduced_motion="reduce",
    )
    window.set_default_timeout(PATIENCE_S * 1000)
    return window


class Class:
    """Everybody's windows. `folder`: for the browser that keeps nothing."""

    def __init__(self, browser: Browser, lab: Lab, folder: Path) -> None:
        self._browser, self._lab, self._folder = browser, lab, folder
        self.errors: list[str] = []
        self.said = 0  # by learners' pages to the lab; the instructor's hears and answers whenever somebody comes
        self.teacher = self.open("instructor", 1280, 900)
        self.code = ""
        self.learners: list[Page] = []

    def open(self, path: str, width: int = 390, height: int = 844) -> Page:
        size: ViewportSize = {"width": width, "height": height}
        return self._opened(self._browser.new_context(viewport=size, reduced_motion="reduce").new_page(), path)

    def open_without_cookies(self, path: str) -> Page:
        page = self._opened(without_cookies(self._browser, self._folder).pages[0], path)
        expect(page.get_by_text("This browser keeps no cookie")).to_be_visible()
        return page

    def _opened(self, page: Page, path: str) -> Page:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._count)
        page.goto(f"{self._lab.url}/{path}", wait_until="commit")  # the others come at the same time
        return page

    def _count(self, request: Request) -> None:
        self.said += request.method == "POST"

    def begin(self) -> None:
        field = self.teacher.get_by_label("Instructor's key")
        field.fill("a key that I made up")
        press(self.teacher, "Enter")
        expect(self.teacher.get_by_text("That is not the key.")).to_be_visible()
        sound(self.teacher, "0-door", 390, "dark")
        self.teacher.set_viewport_size({"width": 1280, "height": 900})
        field.fill(KEY)
        press(self.teacher, "Enter")
        press(self.teacher, "Open a class")
        way_in = self.teacher.get_by_text(re.compile("Join at .* with"))
        expect(way_in).to_be_visible()
        self.code = way_in.inner_text().split()[-1]

    def come(self) -> None:
        """Everybody opens the page, the last one without cookies, and the wall is put up."""
        way_in = f"join?room={self.code}"
        self.learners = [self.open(way_in, width) for width in (390, 1280, *[390] * (LEARNERS - 3))]
        self.learners.append(self.open_without_cookies(way_in))
        self.wall = self.open(f"projector?room={self.code}", 1920, 1080)

    @property
    def audience(self) -> list[Page]:
        return [*self.learners, self.wall]

    def ask(self, question: str) -> None:
        press(self.teacher, "Ask this")
        for page in self.learners:  # are taken to it
            expect(page.get_by_role("heading", name=question)).to_be_focused()
        expect(self.wall.get_by_role("heading", name=question)).to_be_visible()

    def run_and_show(self) -> None:
        answer = self.teacher.get_by_role("button", name="Show answer")
        expect(answer).to_be_enabled()
        for page in self.audience:
            expect(page.get_by_text(re.compile("^Measured:"))).to_have_count(0)
        answer.click()
        for page in self.learners:
            expect(page.get_by_role("heading", name=re.compile("Right|Close|Off"))).to_be_visible()
        expect(self.wall.get_by_role("heading", name=re.compile("Measured: "))).to_be_visible()

    @property
    def windows(self) -> dict[str, tuple[Page, int]]:
        """One of each kind of page, and how wide it is looked at."""
        first, second, *_ = self.learners
        return {
            "instructor": (self.teacher, 1280),
            "instructor-narrow": (self.teacher, 390),
            "learner": (first, 390),
            "wide": (second, 1280),
            "wall": (self.wall, 1920),
        }

    def is_sound(self, step: str) -> None:
        for n, (name, (page, width)) in enumerate(self.windows.items()):
            sound(page, f"{step}-{name}", width, ("light", "dark")[(n + len(step)) % 2])
        self.teacher.set_viewport_size({"width": 1280, "height": 900})

    def close(self) -> None:
        for page in (self.teacher, *self.audience):
            page.context.close()


def saved(page: Page, kind: str) -> list[str]:
    press(page, "Export")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"({kind})").click()
    page.keyboard.press("Escape")
    return download.value.path().read_text().splitlines()


@pytest.mark.browser
@pytest.mark.live
def test_a_class_whose_server_is_killed_in_mid_vote(
    browser: Browser, start: Callable[..., Lab], tmp_path: Path
) -> None:
    lab = start()
    room = Class(browser, lab, tmp_path)
    everybody_joins(room)
    two_votes_and_a_server_that_dies_in_the_second(room, lab, start)
    everybody_watches_one_run(room)
    who_comes_late_and_a_second_tab_are_at_the_answer(room)
    straight_from_the_vote_to_the_run(room)
    answered_from_what_was_run_before(room)
    everything_can_be_taken_home(room)
    a_learner_s_run_goes_up_is_declined_and_taken_back(room)
    assert room.errors == []
    room.close()


def everybody_joins(room: Class) -> None:
    room.begin()
    assert KEY not in room.teacher.url
    choose(room.teacher, "^Lesson", "99.")
    room.come()
    first, *others = room.learners
    first.get_by_label("Nickname (optional)").fill("<script>alert(1)</script>"[:24])
    press(first, "Join")
    expect(first.get_by_text("A nickname has letters")).to_be_visible()
    sound(first, "0-join", 390, "light")
    first.get_by_label("Nickname (optional)").fill("Ada")
    for page in (first, *others):
        press(page, "Join")
    picture = room.wall.get_by_role("img", name="QR code of the way in")
    assert picture.evaluate("async image => (await image.decode(), image.naturalWidth > 20)")
    expect(room.wall.get_by_text(f"{LEARNERS} here")).to_be_visible()
    room.is_sound("1-joined")


def two_votes_and_a_server_that_dies_in_the_second(room: Class, lab: Lab, start: Callable[..., Lab]) -> None:
    room.ask("How long does the first token take?")
    room.learners[0].get_by_role("button", name="Lock my vote").click()
    expect(room.learners[0].get_by_text("Still missing: a number and how sure you are.")).to_be_visible()
    said = room.said
    *others, undecided, forgetful = room.learners
    for page, ms in zip((*others, forgetful), ("30", "50", "500", "30", "30"), strict=True):
        vote(page, ms)
    drafts_survive_a_reload(undecided)
    assert room.said - said == 5  # messages: none while a form is filled in, one for each vote
    a_form_s_bar_is_in_sight(undecided)
    for page in (room.teacher, room.wall):
        expect(page.get_by_text(re.compile("5 of 6 have voted"))).to_be_visible()
    for page in room.audience:
        expect(page.get_by_role("table", name="How the class voted")).to_have_count(0)
    press(room.teacher, "Show counts")
    for page in room.audience:
        expect(page.get_by_role("row", name=re.compile("^10 to 100 ms 4$"))).to_be_visible()
    room.is_sound("3-counts")

    press(room.teacher, "Second vote")
    for page in room.learners[:2]:
        vote(page, "70")
    os.kill(lab.process.pid, signal.SIGKILL)
    lab.process.wait()
    start(port=int(lab.host.partition(":")[2]))
    for page in (room.teacher, *others, undecided, room.wall):  # who keeps no cookie is nobody after a reload
        page.reload(wait_until="commit")
    for page in room.learners[:2]:
        expect(page.get_by_text("Waiting for the others.")).to_be_visible()
    expect(room.teacher.get_by_text(re.compile("2 of 6 have voted again"))).to_be_visible()  # and is asked for no key
    for page in room.learners[2:]:
        vote(page, "20")
    for page in room.audience:
        expect(page.get_by_text(re.compile("6 of 6 have voted again"))).to_be_visible()


def drafts_survive_a_reload(page: Page) -> None:
    page.get_by_label("In your own words (optional)").fill("because it is long")
    page.get_by_text("guessing", exact=True).click()
    page.reload(wait_until="commit")
    expect(page.get_by_label("In your own words (optional)")).to_have_value("because it is long")
    expect(page.get_by_role("radio", name="guessing")).to_be_checked()


def a_form_s_bar_is_in_sight(page: Page) -> None:
    """At the window's lower edge, though the form is taller than the window and the page is scrolled to its top."""
    page.set_viewport_size({"width": 390, "height": 500})
    page.evaluate("scrollTo(0, 0)")
    lock = page.get_by_role("button", name="Lock my vote")
    expect(lock).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollHeight > innerHeight")
    page.set_viewport_size({"width": 390, "height": 844})


def everybody_watches_one_run(room: Class) -> None:
    room.teacher.get_by_role("spinbutton", name="Seed of the run").fill("7")
    press(room.teacher, "Run once for all")
    expect(room.wall.get_by_text(re.compile("Run . of [34]"))).to_be_visible()
    for page in room.audience:
        expect(page.get_by_role("img", name=re.compile("^The kitchen"))).to_contain_text("of 2")
    room.is_sound("5-run")
    room.run_and_show()
    for page in (room.teacher, *room.audience):
        expect(page.get_by_text(re.compile("3 runs with seeds 7 to 9, measured (at|from) "))).to_be_visible()
    for page in room.audience:
        expect(page.get_by_role("row", name=re.compile("^10 to 100 ms.* 4 6$"))).to_be_visible()
    room.is_sound("6-answer")


def who_comes_late_and_a_second_tab_are_at_the_answer(room: Class) -> None:
    late = room.open(f"join?room={room.code}")
    press(late, "Join")
    expect(late.get_by_role("heading", name=re.compile("Measured: "))).to_be_visible()
    expect(late.get_by_text("You did not vote on this one.")).to_be_visible()
    press(late, "Leave the class")
    expect(late.get_by_role("heading", name="Join a class")).to_be_visible()
    late.context.close()
    first = room.learners[0]
    tab = first.context.new_page()
    tab.goto(first.url, wait_until="commit")
    for page in (first, tab):
        expect(page.get_by_role("heading", name=re.compile("Right|Close|Off"))).to_be_visible()
        expect(page.get_by_text("Your guess:")).to_be_visible()
    tab.close()


def straight_from_the_vote_to_the_run(room: Class) -> None:
    room.ask("How does it grow with the prompt?")
    for page in room.learners:
        draw(page)
    press(room.teacher, "Run once for all")
    room.run_and_show()


def answered_from_what_was_run_before(room: Class) -> None:
    room.ask("What sets it?")
    for page in room.learners:
        page.get_by_text("The length of the prompt", exact=True).click()
        sure_of_it(page)
    press(room.teacher, "Show counts")
    room.run_and_show()


def a_learner_s_run_goes_up_is_declined_and_taken_back(room: Class) -> None:
    press(room.teacher, "Let all roam freely")
    ada, wall = room.learners[0], room.wall
    here = ada.url
    ada.goto(
        here.partition("/join")[0]
        + "/?kitchen=Two+stations+and+a+pass&orders=2&rate=all+at+once&answer=8&prompt=16&long=as+the+others"
    )
    ada.get_by_role("button", name="Open the kitchen").click()
    offer = ada.get_by_role("button", name="Offer to the projector")
    expect(offer).to_be_visible()
    expect(room.teacher.get_by_role("heading", name="Offered for the projector")).to_have_count(0)
    ada.get_by_text("with my nickname, Ada").click()
    offer.click()
    expect(ada.get_by_text("A run of yours is offered")).to_be_visible()
    expect(room.teacher.get_by_text(re.compile("1. Ada · Two stations and a pass"))).to_be_visible()
    expect(wall.get_by_text("offered by Ada")).to_have_count(0)
    press(room.teacher, "Put on the projector")
    expect(wall.get_by_text("offered by Ada")).to_be_visible()
    expect(wall.get_by_text("All 2 orders are served.").first).to_be_visible()
    expect(ada.get_by_text("A run of yours is on the projector.")).to_be_visible()
    room.is_sound("9-offered")
    press(room.teacher, "Take down")
    expect(wall.get_by_text("offered by Ada")).to_have_count(0)
    press(room.teacher, "Decline")
    expect(ada.get_by_text("The instructor does not show the run that you offered")).to_be_visible()
    expect(room.teacher.get_by_role("heading", name="Offered for the projector")).to_have_count(0)
    press(ada, "All right")
    offer.click()
    expect(room.teacher.get_by_text(re.compile("1. Ada · Two stations and a pass"))).to_be_visible()
    ada.goto(here)  # and takes it back from wherever she is
    press(ada, "Take it back")
    for page in (wall, room.teacher):
        expect(page.get_by_text(re.compile("offered by Ada|Offered for the projector"))).to_have_count(0)


def everything_can_be_taken_home(room: Class) -> None:
    told = [json.loads(line) for line in saved(room.teacher, "JSONL")]
    assert sorted((one["round"], one["vote"], one["number"]) for one in told) == [
        *(("check", 1, n) for n in range(1, 7)),
        *(("first", 1, n) for n in (1, 2, 3, 4, 6)),
        *(("first", 2, n) for n in range(1, 7)),
        *(("grows", 1, n) for n in range(1, 7)),
    ]
    assert {one["nickname"] for one in told if one["number"] == 1} == {"Ada"}
    table = saved(room.teacher, "CSV")
    assert [(row["round"], row["learner"], row["vote"]) for row in csv.DictReader(table)] == [
        (one["round"], str(one["number"]), str(one["vote"])) for one in told
    ]
    cookies = [cookie["value"] for page in room.learners for cookie in page.context.cookies()]
    assert len(cookies) >= LEARNERS - 1  # the last one has none
    assert not any(cookie in json.dumps(told) + "".join(table) for cookie in cookies)
