"""Take the README's pictures of the real lab on the real model: `python -m tests.pictures` (make pictures)."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

os.environ["SPLIT_KITCHEN_TEST_MODEL"] = "smollm2-135m"

from playwright.sync_api import Page, expect, sync_playwright

from tests.lab.conftest import FLAGS, ROOT, Lab, open_lab

FOLDER = ROOT / "docs" / "pictures"
RUN_MS = 120_000


def kitchen(page: Page, lab: Lab, path: Path) -> None:
    """The middle of a live run: a long prompt in prep, short answers on the plates."""
    page.goto(f"{lab.url}/?orders=8&rate=2&answer=64&link=20+MB%2Fs")
    button = page.get_by_role("button", name="Open the kitchen")
    expect(button).to_be_enabled(timeout=RUN_MS)
    button.click()
    page.get_by_text("Prepping", exact=True).wait_for()
    page.mouse.move(640, 5)  # away from the button, whose tooltip would cover the scene
    page.wait_for_timeout(4000)
    page.screenshot(path=path)
    page.get_by_role("button", name="Stop").click()


def two_kitchens(page: Page, lab: Lab, path: Path) -> None:
    """The same orders in both, replayed to a moment when one line stands still and the other does not."""
    page.goto(f"{lab.url}/?kitchen=Each+cook+does+both&beside=Two+stations+and+a+pass&orders=8&rate=2&answer=64")
    button = page.get_by_role("button", name="Open the kitchens")
    expect(button).to_be_enabled(timeout=RUN_MS)
    button.click()
    expect(page.get_by_role("heading", name="What was measured")).to_be_visible(timeout=RUN_MS)
    page.get_by_role("button", name="Replay from the start").click()
    page.locator(".sk-plate[data-frozen=long]").nth(1).wait_for(timeout=30_000)
    page.wait_for_timeout(700)
    page.screenshot(path=path)


def lesson(page: Page, lab: Lab, path: Path) -> None:
    """A locked guess and the measurement on one axis."""
    page.goto(f"{lab.url}/one-station")
    page.get_by_label("or exactly, ms").fill("200")
    page.get_by_label("or exactly, ms").press("Enter")
    page.get_by_text("fairly sure", exact=True).click()
    lock = page.get_by_role("button", name="Lock my guess and run")
    expect(lock).to_be_enabled()
    lock.click()
    expect(page.get_by_role("button", name="Next question")).to_be_visible(timeout=RUN_MS)
    page.wait_for_timeout(2500)
    page.screenshot(path=path)


def rack(page: Page, lab: Lab, path: Path) -> None:
    """A simulated rack in slow motion, once it is busy."""
    page.goto(f"{lab.url}/scale?site=GB200+NVL72&site_gpu=GB200&isl=4096&osl=128")
    scene = page.locator(".sk-kitchen")
    scene.wait_for(timeout=RUN_MS)
    page.set_viewport_size({"width": 1280, "height": 1640})  # the floor and the timeline at once
    page.wait_for_timeout(16_000)
    scene.screenshot(path=path)


PICTURES: tuple[tuple[str, Callable[[Page, Lab, Path], None], Literal["light", "dark"]], ...] = (
    ("kitchen", kitchen, "light"),
    ("two-kitchens", two_kitchens, "dark"),
    ("lesson", lesson, "light"),
    ("rack", rack, "dark"),
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with open_lab() as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for name, take, scheme in PICTURES:
            page = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
            take(page, lab, FOLDER / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
