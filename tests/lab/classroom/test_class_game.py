"""A class plays a round of the game in Chromium: from the instructor's press to the points on the wall, with a server
that is killed in the middle, a learner who comes late, one without cookies, and a name that is offered."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lab.classroom.test_class import Class, press, sound, start
from tests.lab.conftest import Lab

__all__ = ["start"]
MOST_PRESSES = 60


class Players(Class):
    """Two learners, a wall and an instructor."""

    def come(self) -> None:
        self.learners = [self.open(f"join?room={self.code}", width) for width in (390, 1280)]
        self.wall = self.open(f"projector?room={self.code}", 1920, 1080)
        for page, name in zip(self.learners, ("Ada", ""), strict=True):
            expect(page.get_by_label("Nickname (optional)")).to_be_visible()
            expect(page.get_by_text("This browser keeps no cookie")).to_have_count(0)
            page.get_by_label("Nickname (optional)").fill(name)
            press(page, "Join")

    def begin(self) -> None:
        self.teacher.get_by_label("Instructor's key").fill("the instructor's own key")
        press(self.teacher, "Enter")
        press(self.teacher, "Open a class")
        way_in = self.teacher.get_by_text(re.compile("Join at .* with"))
        expect(way_in).to_be_visible()
        self.code = way_in.inner_text().split()[-1]


def plays_on(page: Page) -> None:
    """By keyboard, to the end: whoever waits is prepped whole, or else the first move is made."""
    result = page.locator("#result h2")
    for _ in range(MOST_PRESSES):
        if result.is_visible():
            return
        before = page.url
        kinds = page.locator(".move").evaluate_all("all => all.map((one) => one.dataset.kind)")
        page.keyboard.press(f"{kinds.index('whole') + 1 if 'whole' in kinds else 1}")
        page.wait_for_function("before => location.href !== before", arg=before)
    expect(result).to_be_visible()


@pytest.mark.browser
@pytest.mark.live
def test_a_class_plays_one_round(browser: Browser, start: Callable[..., Lab], tmp_path: Path) -> None:
    lab = start(ready=False)  # a round needs no engine
    room = Players(browser, lab, tmp_path)
    room.begin()
    room.come()
    ada, bob = room.learners
    press(room.teacher, "Let all play")
    for page in room.learners:
        expect(page.get_by_role("heading", name="Everybody is the cook")).to_be_focused()
    room.is_sound("1-begun")

    ada.get_by_role("link", name="Play the round").click()
    expect(ada.locator(".move").first).to_be_visible()
    expect(ada.locator("#class-says")).to_contain_text("0 of 2 have finished a round")
    sound(ada, "2-in-the-game", 390, "dark")
    plays_on(ada)
    expect(ada.locator("#counted")).to_contain_text("Your point is on the projector")
    expect(ada.locator("[data-watch=best]")).to_have_count(0)
    expect(ada.get_by_text("What made it good").or_(ada.get_by_text("decided it"))).to_be_visible()
    expect(room.wall.get_by_text(re.compile("^1 learner has finished a round"))).to_be_visible()
    sound(ada, "2-finished", 390, "light")
    room.is_sound("3-a-point")

    bob.get_by_role("link", name="Play the round").click()
    expect(bob.locator(".move").first).to_be_visible()
    bob.keyboard.press("1")
    expect(bob).to_have_url(re.compile("moves="))
    os.kill(lab.process.pid, signal.SIGKILL)
    lab.process.wait()
    start(ready=False, port=int(lab.host.partition(":")[2]))
    bob.reload(wait_until="commit")
    expect(bob.locator(".move").first).to_be_visible()
    assert "moves=" in bob.url
    plays_on(bob)
    expect(bob.locator("#counted")).to_contain_text("Your point is on the projector")
    room.wall.reload(wait_until="commit")
    room.teacher.reload(wait_until="commit")
    late = room.open(f"join?room={room.code}")
    press(late, "Join")
    expect(late.get_by_role("link", name="Play the round")).to_be_visible()
    expect(room.wall.get_by_text(re.compile("2 of 3 have finished a round"))).to_be_visible()

    shy = room.open_without_cookies(f"join?room={room.code}")
    press(shy, "Join")
    shy.get_by_role("link", name="Play the round").click()
    expect(shy.locator(".move").first).to_be_visible()
    plays_on(shy)
    expect(shy.locator("#counted")).to_contain_text("Your point is on the projector")
    shy.get_by_role("link", name="Back to your class").click()
    expect(shy.get_by_text("Your first tokens came after")).to_be_visible()
    shy.get_by_role("link", name="See which move decided it").click()
    expect(shy.locator("#result h2")).to_be_visible()
    expect(room.wall.get_by_text(re.compile("3 of 4 have finished a round"))).to_be_visible()

    press(room.teacher, "End the round")
    for page in (ada, bob, late, shy):  # who is in the game is taken back to the class
        expect(page.get_by_role("heading", name="Where your class's rounds lie")).to_be_visible()
    expect(room.wall.get_by_text("one of the best found")).to_be_visible()
    press(ada, "Offer my nickname, Ada")
    expect(ada.get_by_role("button", name="Take my name back")).to_be_visible()
    expect(room.wall.get_by_text("Ada")).to_have_count(0)
    press(room.teacher, "Show the names that are offered")
    expect(room.wall.get_by_text("Ada")).to_be_visible()
    room.is_sound("4-over")
    for page in (ada, shy):
        page.get_by_role("link", name="Look at your round once more").click()
        expect(page.locator("[data-watch=best]")).to_be_visible()
        page.get_by_role("link", name="Back to your class").click()
        expect(page.get_by_role("heading", name="Where your class's rounds lie")).to_be_visible()
    shy.context.close()
    press(room.teacher, "Let all play level 2")
    for page in (ada, bob):
        expect(page.get_by_role("link", name="Play the round")).to_be_visible()
    expect(room.teacher.get_by_text("level 2, two stations")).to_be_visible()
    assert room.errors == []
    late.context.close()
    room.close()
