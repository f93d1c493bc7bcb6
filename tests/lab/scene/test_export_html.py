"""A run as one file: whole, offline, and safe whatever the prompts say."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from playwright.sync_api import Browser

from engine.events import Arrived, Event
from lab.scene.bundle import SCENE
from lab.scene.export_html import export_kitchens, kitchen
from lab.scene.motions import motions
from lab.scene.spans import Motion
from lessons.words import WORDS
from tests.lab.fake_kitchen import cook, requests
from tests.lab.looks import SEEK, SIGHT, faults


def export_html(run: Sequence[Event] | Sequence[Motion], title: str, *, note: str = "") -> str:
    """One kitchen alone on its page."""
    return export_kitchens([kitchen(run, "", note=note)], title)


def data_of(page: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    data: dict[str, list[dict[str, object]]] = json.loads(found[1])
    return data


def test_a_page_holds_its_run() -> None:
    log = cook("disaggregated", requests(3))
    page = export_html(log, "Two stations", note="recorded on 2026-11-20")
    (only,) = data_of(page)["kitchens"]
    assert only["motions"] == motions(log)
    assert only["stream"] is None
    assert only["note"] == "recorded on 2026-11-20"
    assert "<title>Two stations</title>" in page
    assert export_html(motions(log), "Two stations", note="recorded on 2026-11-20") == page


def test_two_kitchens_share_a_page() -> None:
    runs = [kitchen(cook(kind, requests(2)), kind, id=kind) for kind in ("colocated", "disaggregated")]
    assert [one["id"] for one in data_of(export_kitchens(runs, "Side by side"))["kitchens"]] == [
        "colocated",
        "disaggregated",
    ]


def test_the_page_asks_nobody_for_anything() -> None:
    page = export_html(cook("chunked", requests(2)), "Alone")
    assert not re.search(r"""(?:src|href)\s*=|@import|url\((?!#)|^\s*import\s""", page, re.M)
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[^\s\"'`]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_no_prompt_can_break_out() -> None:
    evil = "</script><script>alert(1)</script><!-- {title} \u2028"
    log: list[Event] = [
        msgspec.structs.replace(event, prompt=evil) if isinstance(event, Arrived) else event
        for event in cook("colocated", requests(1))
    ]
    page = export_html(log, '<img src=x onerror="x">')
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert any(motion.get("prompt", "").startswith("</script>") for motion in data_of(page)["kitchens"][0]["motions"])  # type: ignore[attr-defined]


def test_the_module_speaks_the_table_of_words() -> None:
    found = re.search(r"^const WORDS = (\{.*?^\});", SCENE, re.S | re.M)
    assert found
    assert json.loads(found[1]) == {
        key: {
            "name": WORDS[key].kitchen[0].upper() + WORDS[key].kitchen[1:],
            "serving": WORDS[key].serving,
            "says": WORDS[key].says,
        }
        for key in ("door", "prep", "pass", "plating", "cook", "portions", "hatch", "shelf", "served")
    }


def test_the_module_never_writes_markup() -> None:
    """Answers and prompts are anybody's text: nodes and textContent only."""
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", SCENE)


# ---- in a browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = [kitchen(cook(kind), kind, id=kind) for kind in ("colocated", "disaggregated")]
    path = tmp_path_factory.mktemp("export") / "two.html"
    path.write_text(export_kitchens(runs, "Side by side"), encoding="utf-8")
    return path


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Browser, page_file: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 6000}, color_scheme=scheme, reduced_motion="reduce", offline=True
    )
    page = context.new_page()
    errors: list[object] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(page_file.as_uri())
    page.get_by_role("button", name="Pause (space)").click()
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    for t in (200, 500):
        page.evaluate(SEEK, t)
        assert faults(page, "best-practice") == []
        assert page.evaluate(SIGHT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
    context.close()


@pytest.mark.browser
def test_a_moment_looks_the_same_however_it_was_reached(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.get_by_role("button", name="Pause (space)").click()
    floor = "() => [...document.querySelectorAll('.sk-floor, .sk-numbers')].map((node) => node.innerText).join()"
    for t in (150, 300, 450, 700):
        seen = []
        for detour in (0, 990):
            page.evaluate(SEEK, detour)
            page.evaluate(SEEK, t)
            seen.append(page.evaluate(floor))
        assert seen[0] == seen[1]
    context.close()


FLOWN = """() => {
  const fly = Element.prototype.animate;
  globalThis.flown = [];
  Element.prototype.animate = function (...how) { flown.push(this.dataset.stands); return fly.apply(this, how); };
}"""


@pytest.mark.browser
def test_it_plays_to_its_end(browser: Browser, page_file: Path) -> None:
    """In motion, which no picture shows: what flies from place to place, lights that fade, hands that reach."""
    page = browser.new_page()
    errors: list[object] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(page_file.as_uri())
    page.evaluate(FLOWN)
    page.get_by_role("button", name="Speed 4×").click()
    page.get_by_role("button", name="Replay from the start").click()
    page.get_by_text("All 12 orders are served.").first.wait_for()
    assert page.evaluate("flown")  # not by all: on a busy machine many moves fall between two frames
    assert errors == []
    page.close()


@pytest.mark.browser
def test_keys_play_pause_and_step(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.get_by_role("button", name="Pause (space)").wait_for()
    page.get_by_role("slider", name="Time").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play (space)").wait_for()
    page.evaluate(SEEK, 0)
    page.keyboard.press(".")
    page.locator(".sk-caption").filter(has_text="is up").wait_for()
    page.keyboard.press(".")
    page.locator(".sk-caption").filter(has_text="order 1 comes in").wait_for()
    page.keyboard.press(",")
    page.locator(".sk-caption").filter(has_text="is up").wait_for()
    page.close()
