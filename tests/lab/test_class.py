"""A class in Chromium: an instructor, a projector and three learners at one question, on the real engine; the server is
killed in the middle of the second vote."""

import csv
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lab.conftest import Lab, open_lab, with_sample

KEY = "the instructor's own key"
LEARNERS = 3
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
    page.get_by_role("combobox", name=re.compile(label)).click()
    page.get_by_role("option", name=re.compile(re.escape(option))).click()


def vote(page: Page, arrow: str) -> None:
    page.get_by_role("slider", name="Your guess, ms").press(arrow)
    expect(page.get_by_label("or exactly, ms")).not_to_have_value("")
    page.get_by_text("fairly sure", exact=True).click()
    press(page, "Lock my vote")
    expect(page.get_by_text("Waiting for the others.")).to_be_visible()


def picture(pages: dict[str, Page], step: str) -> None:
    for name, page in pages.items() if SHOTS else ():
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.wait_for_timeout(400)
            page.screenshot(path=f"{SHOTS}/{step}-{name}-{scheme}.png", full_page=name != "projector")
        page.emulate_media(color_scheme="light")


@pytest.mark.browser
@pytest.mark.live
def test_a_class_whose_server_is_killed_in_mid_vote(browser: Browser, start: Callable[..., Lab]) -> None:
    lab = start()
    errors: list[str] = []

    def visitor(path: str, width: int = 390, height: int = 844, **options: Any) -> Page:
        window = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **options)
        page = window.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{lab.url}/{path}")
        return page

    teacher = visitor("instructor", 1280, accept_downloads=True)
    field = teacher.get_by_label("Instructor's key")
    field.fill("a key that I made up")
    press(teacher, "Enter")
    expect(teacher.get_by_text("That is not the key.")).to_be_visible()
    field.fill(KEY)
    press(teacher, "Enter")
    press(teacher, "Open a class")
    choice = teacher.get_by_text(re.compile("Join at .* with"))
    expect(choice).to_be_visible()
    code = choice.inner_text().split()[-1]
    assert KEY not in teacher.url

    learners = [visitor(f"join?room={code}", 1280 if n == 1 else 390) for n in range(LEARNERS)]
    for n, page in enumerate(learners):
        if n == 0:
            page.get_by_label("Nickname (optional)").fill("<script>alert(1)</script>"[:24])
            press(page, "Join")
            expect(page.get_by_text("A nickname has letters")).to_be_visible()
            page.get_by_label("Nickname (optional)").fill("Ada")
        if n == 1:
            picture({"join": page, "join-phone": learners[2]}, "0")
        press(page, "Join")
        expect(page.get_by_role("heading", name=f"Class {code}")).to_be_visible()
    wall = visitor(f"projector?room={code}", 1920, 1080)
    picture_of = wall.get_by_role("img", name="QR code of the way in")
    assert picture_of.evaluate("async image => (await image.decode(), image.naturalWidth > 20)")
    expect(wall.get_by_text("3 here")).to_be_visible()
    everybody = {"instructor": teacher, "learner": learners[0], "wide": learners[1], "projector": wall}
    picture(everybody, "1-joined")

    choose(teacher, "^Lesson", "99.")
    press(teacher, "Ask this")
    for page in (*learners, wall):
        expect(page.get_by_role("heading", name="How long does the first token take?")).to_be_visible()
    picture(everybody, "2-asked")
    for page, arrow in zip(learners[:2], ("ArrowLeft", "ArrowRight"), strict=True):
        vote(page, arrow)
    for page in (teacher, wall):
        expect(page.get_by_text(re.compile("2 of 3 have voted"))).to_be_visible()
    for page in (*learners, wall):
        expect(page.locator(".js-plotly-plot")).to_have_count(0)
    press(teacher, "Show counts")
    for page in (*learners, wall):
        expect(page.locator(".js-plotly-plot")).to_be_visible()
    picture(everybody, "3-counts")

    press(teacher, "Second vote")
    vote(learners[0], "ArrowRight")
    os.kill(lab.process.pid, signal.SIGKILL)
    lab.process.wait()
    start(port=int(lab.host.partition(":")[2]))
    for page in (teacher, wall, *learners):
        page.reload()
    expect(learners[0].get_by_text("Waiting for the others.")).to_be_visible()
    expect(teacher.get_by_text(re.compile("1 of 3 have voted again"))).to_be_visible()  # and is asked for no key
    vote(learners[1], "ArrowLeft")
    vote(learners[2], "ArrowLeft")
    expect(wall.get_by_text(re.compile("3 of 3 have voted again"))).to_be_visible()
    picture(everybody, "4-again")

    press(teacher, "Run once for all")
    expect(wall.get_by_text(re.compile("Run . of [34]"))).to_be_visible()
    for page in learners:
        expect(page.get_by_text("Measured")).to_have_count(0)
    picture(everybody, "5-run")
    expect(teacher.get_by_role("button", name="Show answer")).to_be_enabled(timeout=40_000)
    press(teacher, "Show answer")
    for page in learners:
        expect(page.get_by_role("heading", name=re.compile("Right|Close|Off"))).to_be_visible()
    expect(wall.get_by_role("heading", name=re.compile("Measured: .* ms"))).to_be_visible()
    picture(everybody, "6-answer")

    rows = []
    for name in ("CSV", "JSONL"):
        with teacher.expect_download() as download:
            press(teacher, f"Export ({name})")
        rows.append(download.value.path().read_text().splitlines())
    told = [json.loads(line) for line in rows[1]]
    assert sorted((one["number"], one["vote"]) for one in told) == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2)]
    assert {one["nickname"] for one in told if one["number"] == 1} == {"Ada"}
    assert [(row["learner"], row["vote"]) for row in csv.DictReader(rows[0])] == [
        (str(one["number"]), str(one["vote"])) for one in told
    ]
    cookies = [cookie["value"] for page in learners for cookie in page.context.cookies()]
    assert not any(cookie in "\n".join(rows[0] + rows[1]) for cookie in cookies)
    assert errors == []
    for page in (teacher, wall, *learners):
        page.context.close()
