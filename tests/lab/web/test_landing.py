"""The front page before Streamlit has loaded: a recorded kitchen that moves, until Streamlit's page replaces it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from lab.scene.recordings import recorded
from lab.scene.words import TITLES
from lab.web.landing import INDEX, ROOT, SCRIPTS, STYLE, TITLE
from lessons import all_lessons
from tests.lab.conftest import Lab
from tests.lab.kitchen.test_kitchen_page import Visit
from tests.lab.looks import faults

pytestmark = [pytest.mark.browser, pytest.mark.live]

FIRST_VISIT_BYTES, LIGHT_BYTES = 1_300_000, 60_000  # over the wire, without sockets; of a page without Streamlit
DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"]'
STREAMLIT = re.compile(r"/static/js/index\.(?!esm)")


@contextmanager
def held_up(browser: Browser, lab: Lab, **window: Any) -> Iterator[tuple[Visit, list[Route]]]:
    """The page while Streamlit's own script is still on its way; `continue_` lets it come."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **window})
    try:
        visit, held = Visit(context.new_page()), []
        visit.page.route(STREAMLIT, lambda route: held.append(route))
        visit.page.goto(lab.url, wait_until="commit")
        visit.page.locator("#opening .sk").wait_for()
        yield visit, held
        assert visit.errors == []
    finally:
        context.close()


def paused(page: Page) -> bool:
    return page.get_by_role("button", name="Play (space)").count() == 1


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_a_recorded_kitchen_moves_without_streamlit(browser: Browser, lab: Lab, width: int, scheme: str) -> None:
    with held_up(browser, lab, viewport={"width": width, "height": 844}, color_scheme=scheme) as (visit, _):
        assert visit.page.locator(".stApp").count() == 0
        visit.moves()
        expect(visit.page.get_by_text("a recording").first).to_be_visible()
        visit.page.wait_for_function("document.fonts.check('16px \"Source Sans\"') && document.fonts.size > 0")
        assert faults(visit.page) == []


def test_the_page_takes_it_over_as_it_is(browser: Browser, lab: Lab) -> None:
    with held_up(browser, lab) as (visit, held):
        visit.moves()
        visit.button("Pause (space)").click()
        at = visit.clock
        assert at > 0
        held[0].continue_()
        visit.page.locator("#opening").wait_for(state="detached")
        expect(visit.page.locator(".stApp .sk")).to_have_count(1)
        assert paused(visit.page)
        assert visit.clock == at
        visit.button("Play (space)").click()
        expect(visit.slider("Time")).not_to_have_attribute("aria-valuetext", re.compile(rf"^{at} "))
        visit.button("Open the kitchen").click()
        expect(
            visit.page.get_by_text("live", exact=True).or_(visit.page.get_by_text("the run is over")).first
        ).to_be_visible()


SIZES = """node => [...node.querySelectorAll(".sk :is(p, li, dt, dd, span, mark)")].map((one) => {
  const { fontSize, lineHeight } = getComputedStyle(one);
  return `${one.className} ${fontSize} ${lineHeight}`;
})"""


def test_nothing_of_it_changes_its_size_when_streamlits_style_comes(browser: Browser, lab: Lab) -> None:
    """It comes with Streamlit's script, well before the scene has a place of its own there."""
    with held_up(browser, lab) as (visit, held):
        opening = visit.page.locator("#opening-kitchen")
        visit.moves()
        visit.button("Pause (space)").click()
        before = opening.evaluate(SIZES)
        assert len(before) > 20
        component: list[Route] = []
        visit.page.route("**/static/js/BidiComponent.*", lambda route: component.append(route))
        held[0].continue_()
        visit.page.locator(".stApp h1").wait_for()
        visit.until(lambda: component)
        assert opening.evaluate(SIZES) == before
        for route in component:
            route.continue_()
        visit.page.locator("#opening").wait_for(state="detached")


def test_what_streamlit_says_does_not_stay_covered(browser: Browser, lab: Lab) -> None:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.clock.install()
        page.route(STREAMLIT, lambda route: route.abort())
        page.goto(lab.url, wait_until="commit")
        page.locator("#opening .sk").wait_for()
        page.clock.fast_forward(10_000)
        expect(page.locator("#opening")).to_have_count(0)
    finally:
        context.close()


AWAY_AND_BACK = """
    const Watching = IntersectionObserver;
    globalThis.IntersectionObserver = class extends Watching {
      constructor(hear) { super((entries) => hear([{ isIntersecting: false }, ...entries])); }
    };
"""


def test_a_scene_that_was_away_for_a_moment_goes_on(browser: Browser, lab: Lab) -> None:
    """On a busy machine the browser says both at once: that it went, and that it is back."""
    context = browser.new_context()
    try:
        visit = Visit(context.new_page())
        visit.page.add_init_script(AWAY_AND_BACK)
        visit.page.goto(lab.url, wait_until="commit")
        before = visit.clock
        expect(visit.slider("Time")).not_to_have_attribute("aria-valuetext", re.compile(rf"^{before} "))
    finally:
        context.close()


BACKGROUND = """
    Object.defineProperty(document, "hidden", { get: () => true });
    globalThis.requestAnimationFrame = () => 0;
"""


def test_a_tab_in_the_background_gets_all_of_its_page(browser: Browser, lab: Lab) -> None:
    """It draws no frames, after which Streamlit else comes."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.add_init_script(BACKGROUND)
        with page.expect_request(STREAMLIT):
            page.goto(lab.url, wait_until="commit")
    finally:
        context.close()


NO_RECORDING = """
    const parse = JSON.parse;
    JSON.parse = (...given) => {
      JSON.parse = parse;
      throw new Error("no recording");
    };
"""


def test_streamlit_comes_though_the_opening_fails(browser: Browser, lab: Lab) -> None:
    context = browser.new_context()
    try:
        visit = Visit(context.new_page())
        visit.page.add_init_script(NO_RECORDING)
        visit.page.goto(lab.url)
        visit.page.locator(".stApp h1").first.wait_for()
        assert ["no recording" in error for error in visit.errors] == [True]
    finally:
        context.close()


@pytest.mark.parametrize(
    ("address", "kinds"),
    [
        ("/", ["colocated", "disaggregated"]),
        ("/?kitchen=chunked&beside=colocated", ["chunked", "colocated"]),
        ("/?kitchen=chunked&beside=chunked", ["chunked"]),
        ("/?kitchen=Two+stations+and+a+pass", ["disaggregated"]),
        ("/?kitchen=%3Cscript%3E&beside=none", ["colocated"]),
    ],
)
def test_the_address_says_which_kitchens(lab: Lab, address: str, kinds: list[str]) -> None:
    status, kind, body = lab.get(address)
    data = re.search(r'<script type="application/json" id="opening-data">(.*?)</script>', body.decode(), re.S)
    assert (status, kind) == (200, "text/html")
    assert data
    kitchens = json.loads(data[1])["kitchens"]
    assert [(kitchen["title"], kitchen["deployment"]) for kitchen in kitchens] == [(TITLES[k], k) for k in kinds]
    assert all(recorded(kind).machine in kitchen["note"] for kind, kitchen in zip(kinds, kitchens, strict=True))


PAGES = [
    "/",
    "/lessons",
    f"/{all_lessons()[0].slug}",
    "/scale?nodes=1",
    "/reality",
    "/advisor",
    "/progress",
    "/instructor",
]
LIGHT_PAGES = ["/join?room=ABCDE", "/projector?room=ABCDE"]


@pytest.mark.parametrize("path", PAGES + LIGHT_PAGES)
def test_a_first_visit_asks_for_nothing_that_is_not_there_and_loads_little(
    browser: Browser, lab: Lab, path: str
) -> None:
    context = browser.new_context()
    try:
        visit, wrong, loaded = Visit(context.new_page()), [], []
        visit.page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
        devtools = context.new_cdp_session(visit.page)
        devtools.send("Network.enable")
        devtools.on("Network.loadingFinished", lambda told: loaded.append(told["encodedDataLength"]))
        visit.page.goto(lab.url + path)
        light = path in LIGHT_PAGES
        visit.page.locator("h1" if light else DRAWN).first.wait_for()
        visit.page.wait_for_load_state("networkidle")
        assert (wrong, visit.errors) == ([], [])
        assert 0 < sum(loaded) < (LIGHT_BYTES if light else FIRST_VISIT_BYTES)
        assert not light or faults(visit.page) == []
    finally:
        context.close()


def test_streamlits_page_is_still_built_as_the_opening_expects() -> None:
    parts = TITLE, SCRIPTS, STYLE, ROOT
    assert [INDEX.count(part) for part in parts] == [1, 1, 1, 1]
    places = [INDEX.index(part) for part in parts]
    assert places == sorted(places)
