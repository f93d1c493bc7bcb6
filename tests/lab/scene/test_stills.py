"""The stills of a reveal, drawn by the scene's own module in a browser: each host's way to them."""

import json
import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, Route, expect

from lab.course.chart_html import STYLE
from lab.course.moments_html import moments_html
from lab.scene.bundle import SCENE
from lab.scene.decisive import decisive
from lab.scene.recordings import recorded
from tests.lab.course.test_moments_html import ASKED, reveal
from tests.lab.looks import faults

DOCUMENT = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>Stills</title><style>:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }} {style}"
    ".jupyter svg {{ height: auto; }}</style><main class='jupyter'><h1>Stills</h1>{html}</main>{script}</html>"
)
ADDRESS = "http://lab.example/"
DRAWN = ".mo-stills [data-at] svg.sk-still"


def shown(html: str, script: str = f'<script type="module">{SCENE}</script>') -> str:
    return DOCUMENT.format(style=STYLE, html=html, script=script)


@pytest.fixture(scope="module")
def moments() -> str:
    runs = decisive([recorded("colocated"), recorded("disaggregated"), recorded("chunked")])
    return moments_html(ASKED, reveal(runs, runs[0].longest_s, runs[0].longest_s / 2))


# Numbers of which only a part is seen: "0." for 0.36 s.
CUT = """() => [...document.querySelectorAll(".mo-still > span")]
  .filter((span) => span.offsetWidth > span.parentNode.clientWidth).map((span) => span.textContent)"""

# How far each line begins from the middle of its still, and ends from its second of the axis, in pixels.
OFF = """() => [...document.querySelectorAll(".mo-leads i")].map((lead, n) => {
  const centre = (node) => { const { left, right } = node.getBoundingClientRect(); return (left + right) / 2; };
  const parts = ["::before", "::after"].map((name) => getComputedStyle(lead, name)),
    [ahead] = parts.map(({ width }) => parseFloat(width) > 0),
    { left, width } = parts[ahead ? 0 : 1];
  const from = lead.getBoundingClientRect().left + parseFloat(left), to = from + parseFloat(width);
  return [
    (ahead ? from : to) - centre(document.querySelectorAll(".mo-stills figure")[n]),
    (ahead ? to : from) - centre(document.querySelectorAll(".mo-when")[n]),
  ];
})"""


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_they_are_drawn_where_they_hang(
    browser: Browser, moments: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 1200}, color_scheme=scheme)
    page = context.new_page()
    errors: list[object] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.set_content(shown(moments))
    expect(page.locator(DRAWN)).to_have_count(3)
    expect(page.locator(f".mo-stills .sk[data-theme={scheme}]")).to_have_count(3)
    # in the middle a hand is away, and plates stand still
    still = page.locator(DRAWN)
    frozen = [still.nth(n).locator("[data-frozen=long]").count() for n in range(3)]
    assert frozen[0] == frozen[2] == 0 < frozen[1]
    tick = page.locator(".mo .ch-track svg").first.bounding_box()
    assert tick is not None
    assert tick["height"] == pytest.approx(24, abs=1), (
        "a token's tick is as high as its row, also where Jupyter wishes else"
    )
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faults(page) == []
    if width > 640:  # on a phone they stand below each other, and their words name the second
        off = page.evaluate(OFF)
        assert len(off) == 3
        assert all(abs(far) < 2 for pair in off for far in pair), off
    assert errors == []
    context.close()


@pytest.mark.browser
def test_a_class_asks_the_lab_for_the_run_and_words_remain_where_it_is_gone(browser: Browser) -> None:
    runs = decisive([recorded("disaggregated")])
    (hung,) = (run.hung for run in runs)
    assert hung is not None
    html = moments_html(ASKED, reveal(runs, 1.0), "lab/class/stills/ABCDE")
    page = browser.new_page()
    asked: list[str] = []
    there = True

    def answer(route: Route) -> None:
        if not route.request.url.endswith(hung.name):
            route.fulfill(body=shown(html), content_type="text/html")
            return
        asked.append(route.request.url)
        route.fulfill(body=hung.run if there else "", status=200 if there else 404, content_type="application/json")

    page.route("**/*", answer)
    for there in (True, False):
        page.goto(ADDRESS)
        if there:
            expect(page.locator(DRAWN)).to_have_count(3)
        else:
            expect(page.locator(".mo-stills[data-none]")).to_have_count(1)
            expect(page.locator(".mo-stills [data-at]").first).to_be_hidden()
        expect(page.get_by_text("When it went on")).to_be_visible()
    assert asked == [f"{ADDRESS}lab/class/stills/ABCDE/{hung.name}"] * 2
    page.close()


@pytest.mark.browser
def test_without_scripts_their_words_stand_alone(browser: Browser, moments: str) -> None:
    page = browser.new_page()
    page.set_content(shown(moments, script=""))
    expect(page.get_by_text("The last token before it")).to_be_visible()
    expect(page.locator(".mo-stills [data-at]").first).to_be_hidden()
    page.close()


def test_the_run_is_in_the_page_as_data_that_ends_where_it_should(moments: str) -> None:
    (run,) = re.findall(r'<script type="application/json">(.*?)</script>', moments)
    assert json.loads(run)["motions"]
