"""A learner on a phone-sized page, from the way in to the counts, without a pointer, and without cookies; axe finds no
fault on the way."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lab.classroom.test_class import without_cookies
from tests.lab.classroom.test_hostile import code, teacher  # noqa: F401  # fixtures
from tests.lab.conftest import Lab, Visitor
from tests.lab.course.test_lessons import Learner


@pytest.mark.browser
@pytest.mark.live
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_from_the_way_in_to_the_counts(
    browser: Browser,
    lab: Lab,
    teacher: Visitor,  # noqa: F811
    code: str,  # noqa: F811
    scheme: str,
) -> None:
    window = browser.new_context(
        viewport={"width": 390, "height": 844},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    me = Learner(window.new_page(), lab)
    page = me.page
    try:
        page.goto(f"{lab.url}/join?room={code.lower()}")
        me.is_sound()
        me.press("textbox", "Nickname (optional)", "A", "d", "a", "Enter")
        question = page.locator("h1")
        expect(question).to_be_focused()
        me.is_sound()
        me.tab_to("slider", re.compile("^Your guess"))
        page.keyboard.press("ArrowRight")
        me.press("radio", "guessing", "Space", "ArrowDown")
        expect(page.get_by_role("radio", name="fairly sure")).to_be_checked()
        me.press("button", "Lock my vote", "Enter")
        expect(page.get_by_text("Waiting for the others.")).to_be_visible()
        expect(page.get_by_text("Your guess:")).to_be_visible()
        me.is_sound()
        teacher.press("Show counts")
        expect(page.get_by_role("table", name="How the class voted")).to_be_visible()
        me.is_sound()
        wall = window.new_page()
        wall.set_viewport_size({"width": 1920, "height": 1080})
        wall.goto(f"{lab.url}/projector?room={code}")
        expect(wall.get_by_role("table", name="How the class voted")).to_be_visible()
        assert wall.evaluate("document.documentElement.scrollHeight <= innerHeight"), "nobody scrolls a wall"
        me.press("button", "Leave the class", "Enter")
        expect(page.get_by_role("heading", name="Join a class")).to_be_visible()
    finally:
        window.close()


@pytest.fixture
def forgetful(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    window = without_cookies(browser, tmp_path)
    yield window.pages[0]
    window.close()


@pytest.mark.browser
@pytest.mark.live
def test_a_browser_that_keeps_nothing_votes_and_comes_back(
    forgetful: Page,
    lab: Lab,
    teacher: Visitor,  # noqa: F811
    code: str,  # noqa: F811
) -> None:
    me = Learner(forgetful, lab)
    for _ in range(2):  # after a reload the lab cannot know who it was: a sentence says so, and it joins once more
        forgetful.goto(f"{lab.url}/join?room={code}")
        assert forgetful.context.cookies() == []
        expect(forgetful.get_by_text("after a reload you would have to join once more")).to_be_visible()
        me.is_sound()
        forgetful.get_by_role("button", name="Join", exact=True).click()
        forgetful.get_by_role("slider", name=re.compile("^Your guess")).press("ArrowRight")
        forgetful.get_by_text("fairly sure", exact=True).click()
        forgetful.get_by_role("button", name="Lock my vote").click()
        expect(forgetful.get_by_text("Waiting for the others.")).to_be_visible()
    teacher.press("Show counts")
    expect(forgetful.get_by_role("table", name="How the class voted")).to_be_visible()
    me.is_sound()
