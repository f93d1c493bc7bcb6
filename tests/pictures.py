"""Take the README's pictures of the real lab on the real model: `python -m tests.pictures` (make pictures)."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Literal

os.environ["SPLIT_KITCHEN_TEST_MODEL"] = "smollm2-135m"

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lab.scene.choices import FIRST_SEEN
from lab.scene.export_html import export_kitchens
from lab.scene.recordings import recorded, replayed
from lab.scene.words import TITLES
from tests.lab.conftest import FLAGS, ROOT, Lab, open_lab

FOLDER = ROOT / "docs" / "pictures"
RUN_MS = 120_000
MOVES = (2.6, 6.2, 0.1)  # of the recorded runs: from, to and step, in seconds
MOST_BYTES = 2_000_000
SEEK = "(time, value) => { time.value = value; time.dispatchEvent(new Event('input', { bubbles: true })); }"


def seek(page: Page, t: float) -> None:
    """Stop the scene's clock at t seconds of the run, as near as its scrubber can. Its axis may go on after the end."""
    time, clock = page.get_by_role("slider", name="Time").first, page.locator(".sk-clock")
    time.evaluate(SEEK, 250)
    page.wait_for_timeout(100)
    quarter_s = float(clock.inner_text().split()[0])
    time.evaluate(SEEK, round(250 * t / quarter_s))


def stop(page: Page) -> None:
    pause = page.get_by_role("button", name="Pause (space)")
    if pause.count():
        pause.click()


def moving(browser: Browser, path: Path) -> None:
    """The two runs that ship with the lab, side by side: frames of the real scene, a tenth of a second apart."""
    kitchens = [replayed(TITLES[kind], recorded(kind)) for kind in FIRST_SEEN]
    page = browser.new_page(
        viewport={"width": 1180, "height": 1400}
    )  # the player at its bottom stays out of the picture
    page.set_content(export_kitchens(kitchens, "Split Kitchen"))
    scene = page.locator(".sk-kitchens")
    scene.wait_for()
    stop(page)
    start, end, step = MOVES
    frames = []
    for n in range(round((end - start) / step) + 1):
        seek(page, start + n * step)
        page.wait_for_timeout(350)  # light and poses fade
        frames.append(Image.open(BytesIO(scene.screenshot())).convert("RGB"))
    page.close()
    options = {"save_all": True, "append_images": frames[1:], "duration": round(step * 1000), "loop": 0}
    for quality in range(80, 20, -10):
        frames[0].save(path, "WEBP", quality=quality, method=4, **options)
        if path.stat().st_size < MOST_BYTES:
            return
    raise AssertionError(f"{path} has {path.stat().st_size:,} bytes")


def two_kitchens(page: Page, lab: Lab, path: Path) -> None:
    """The page as it opens, at a moment at which one line stands still and the other does not."""
    page.goto(lab.url)
    expect(page.get_by_role("button", name="Open the kitchens")).to_be_enabled(timeout=RUN_MS)
    stop(page)
    seek(page, 3.75)
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
    ("two-kitchens", two_kitchens, "dark"),
    ("lesson", lesson, "light"),
    ("rack", rack, "dark"),
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with open_lab() as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        moving(browser, FOLDER / "kitchens.webp")
        for name, take, scheme in PICTURES:
            page = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
            take(page, lab, FOLDER / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
