"""`split-kitchen bench page`: frames a second and main-thread work per frame, of two busy kitchens and of a rack.

The page is a run exported as HTML, so the scene is all there is on it. Chromium's own trace says what each frame cost.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import click
from msgspec.structs import replace

from engine.bench.figure import Figure, Findings, found
from engine.commands.bench_engine import say
from engine.errors import BadInput
from engine.events import TokenMade
from engine.link import LinkSpec
from engine.live.process.run import machine
from engine.log import Log
from engine.metrics import Spread
from engine.scenario import Deployment, Kind, Scenario, Workload, number, whole
from engine.sim.cost import LinearCost
from engine.sim.run import simulate
from engine.sim.station import WorkerSpec
from lab.bench.phone import voting
from lab.bench.startup import bare_streamlit, fresh_lab, visit, visit_bare
from lab.scene.export_html import export_kitchens, kitchen

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
WORD = " plated"
MOVES_S, OPEN_S = 1.0, 1.5
SCRIPT = {"FireAnimationFrame", "FunctionCall", "TimerFire", "EventDispatch", "MajorGC", "MinorGC", "V8.GCScavenger"}
LAYOUT = {"UpdateLayoutTree", "Layout"}
PAINT = {"PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer", "CompositeLayers"}
NO_GPU = "Headless Chromium without a GPU: rasterising is done by other threads on the same cores, and is not in these."
# A worker of some laptop's pace, so that the orders are in flight for much longer than the scene is watched.
WORKER = WorkerSpec(LinearCost(step=0.02, prefill_token=2e-4, row=1e-3))


def run(deployment: Deployment, load: Workload, link: LinkSpec) -> Log:
    """All orders at once, the same for each deployment; simulated tokens have no text, so they are given words."""
    log = simulate(Scenario(deployment, link, load), WORKER)
    events = (replace(event, text=WORD) if isinstance(event, TokenMade) else event for event in log.events)
    return replace(log, events=list(events))


def page(orders: int) -> str:
    """Two kitchens at work on the same orders."""
    kinds: tuple[Kind, ...] = ("chunked", "disaggregated")
    load, link = Workload(requests=orders, prompt_tokens=64, output_tokens=400), LinkSpec(100e6, 0.001)
    kitchens = [kitchen(run(Deployment(kind), load, link).events, kind, id=kind, deployment=kind) for kind in kinds]
    return export_kitchens(kitchens, "Two kitchens")


def rack() -> str:
    """54 prep stations and 18 plating lines: all of them work while the scene is watched."""
    stations = Deployment("disaggregated", workers=72, prefill_workers=54)
    load = Workload(requests=360, prompt_tokens=2048, output_tokens=120)
    return export_kitchens([kitchen(run(stations, load, LinkSpec(100e9, 0.001)).events, "A rack")], "A rack")


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright. Both are development tools and may be missing: raises BadInput."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as missing:
        raise BadInput("page", "Playwright", "installed first: pip install playwright") from missing
    if path is None:
        raise BadInput("page", "Chromium", "on the PATH, as chromium or google-chrome")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


def opening(model: str, visits: int) -> list[Figure]:
    """Until a fresh lab's page moves and is whole, for its first visitor and the median of so many later ones; in turn
    with these, until Streamlit has one button there."""
    with fresh_lab(model) as lab, bare_streamlit() as bare, browser() as chromium:
        first = visit(chromium, lab.url)
        visit_bare(chromium, bare.url)
        pairs = [(visit(chromium, lab.url), visit_bare(chromium, bare.url)) for _ in range(visits)]
    moves_s, whole_s = (median(values) for values in zip(*(later for later, _ in pairs), strict=True))
    bare_s = median(one for _, one in pairs)
    whole, button = "until the whole page is there", "one button in Streamlit alone"
    return [
        Figure("opened by a fresh lab's first visitor, until a kitchen moves", first.moves_s, "s", most=MOVES_S),
        Figure(whole, first.whole_s, "s", most=OPEN_S),
        Figure("opened by later visitors, until a kitchen moves", moves_s, "s", most=MOVES_S),
        Figure(whole, whole_s, "s", most=OPEN_S),
        Figure("the same", whole_s, "s", button, bare_s),
    ]


def phone(model: str) -> list[Figure]:
    """A learner's phone, until it has voted."""
    with browser() as chromium:
        return voting(model, chromium)


def heap(html: str, minutes: float) -> list[Figure]:
    """What the page keeps, garbage collected, when a replay has come to its end: the second one, by which every answer
    has been put together and every function compiled, and the last one, so many minutes later."""
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        shown = _opened(chromium, folder, html)
        shown.get_by_role("button", name="Speed 4×").click()
        asked = shown.context.new_cdp_session(shown)
        asked.send("Performance.enable")
        _replay(shown)
        _replay(shown)
        heap_before, nodes_before = kept(asked)
        until_s = time.monotonic() + minutes * 60
        while time.monotonic() < until_s:
            _replay(shown)
        heap_after, nodes_after = kept(asked)
    when = "after the second replay"
    return [
        Figure("the page's heap after replaying", heap_after, "B", when, heap_before, most=1.05),
        Figure("nodes in the page", nodes_after, "", when, nodes_before, most=1.05),
    ]


def _replay(shown: Any) -> None:
    shown.get_by_role("button", name="Replay from the start").click()
    shown.locator(".sk[data-playing]").wait_for()
    shown.locator(".sk:not([data-playing])").wait_for(timeout=0)


def kept(asked: Any) -> tuple[float, float]:
    """Bytes of JavaScript's heap, and nodes."""
    for _ in range(2):  # the first collection may release more
        asked.send("HeapProfiler.collectGarbage")
    said = {one["name"]: one["value"] for one in asked.send("Performance.getMetrics")["metrics"]}
    return said["JSHeapUsedSize"], said["Nodes"]


def traced(html: str, seconds: float) -> list[dict[str, Any]]:
    """Chromium's trace of the kitchens at a quarter of their speed."""
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        shown = _opened(chromium, folder, html)
        shown.get_by_role("button", name="Speed 1/4×").click()
        shown.get_by_role("button", name="Replay from the start").click()
        shown.wait_for_timeout(2000)  # until every order has come in, and nothing is drawn for the first time
        chromium.start_tracing(page=shown, categories=["devtools.timeline", "v8"])
        shown.wait_for_timeout(seconds * 1000)
        trace = json.loads(chromium.stop_tracing())
        events: list[dict[str, Any]] = trace["traceEvents"]
        return events


def _opened(chromium: Any, folder: str, html: str) -> Any:
    """The page from disk, as somebody would open a run that was mailed to him."""
    file = Path(folder, "kitchens.html")
    file.write_text(html, encoding="utf-8")
    shown = chromium.new_page(viewport={"width": 1280, "height": 900})
    shown.goto(file.as_uri())
    return shown


class Frames:
    """What a trace says of the page's main thread, frame by frame. Seconds."""

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        frames = [event for event in events if event["name"] == "FireAnimationFrame"]
        thread = {(event["pid"], event["tid"]) for event in frames}
        assert len(thread) == 1, f"one page draws, not {len(thread)}"
        begins = sorted(event["ts"] for event in frames)
        self.gaps_s = [(b - a) / 1e6 for a, b in pairwise(begins)]
        on_main = [event for event in events if (event["pid"], event["tid"]) in thread and "dur" in event]
        self.script_s = _per_frame(begins, on_main, SCRIPT)
        self.work_s = _per_frame(begins, on_main, SCRIPT | LAYOUT)  # a layout that a script forces is inside it
        self.paint_s = _per_frame(begins, on_main, PAINT)


def _per_frame(begins: Sequence[float], events: Sequence[dict[str, Any]], names: set[str]) -> list[float]:
    """Time in events of these names, by the frame that they began in; one inside another is counted once."""
    sums = [0.0] * (len(begins) - 1)
    over = 0.0
    frame = 0
    for event in sorted((event for event in events if event["name"] in names), key=lambda event: event["ts"]):
        begin, end = max(event["ts"], over), event["ts"] + event["dur"]
        over = max(over, end)
        while frame < len(sums) and event["ts"] >= begins[frame + 1]:
            frame += 1
        if frame < len(sums) and event["ts"] >= begins[0]:
            sums[frame] += max(0.0, end - begin) / 1e6
    return sums


def drawing(scene: str, html: str, seconds: float) -> list[Figure]:
    """Frames a second of a scene, and what each costs the page's main thread."""
    frames = Frames(traced(html, seconds))
    gap, work, paint = Spread.of(frames.gaps_s), Spread.of(frames.work_s), Spread.of(frames.paint_s)
    slow_s = sorted(frames.work_s)[int(0.95 * len(frames.work_s))]
    return [
        Figure(f"{scene}: frames a second, median", 1 / gap.p50, "/s", least=59.0),
        Figure("frames a second, mean", 1 / gap.mean, "/s", least=59.0),
        Figure("script, style and layout a frame, median", work.p50, "s", most=0.008),
        Figure("script, style and layout a frame, 95 of 100", slow_s, "s", most=0.008),
        Figure("of it script, median", Spread.of(frames.script_s).p50, "s"),
        Figure("painting on the main thread, median", paint.p50, "s"),
    ]


def measure(model: str, orders: int, seconds: float, visits: int, minutes: float) -> Findings:
    """Run the bench: scenes for `seconds` each, `visits` to a lab, and the page's heap over `minutes`."""
    html = page(orders)
    figures = [
        *opening(model, visits),
        *phone(model),
        *drawing("two kitchens", html, seconds),
        *drawing("54 and 18 stations", rack(), seconds),
        *heap(html, minutes),
    ]
    notes = [f"Two kitchens, {orders} orders in each; a quarter of the speed, {seconds:g} s.", NO_GPU]
    return found("page", machine(), figures, notes)


@click.command()
@click.option("--orders", type=int, default=64, show_default=True, help="In flight at once, in each of two kitchens.")
@click.option("--seconds", type=float, default=6.0, show_default=True, help="How long the scene is watched.")
@click.option("--visits", type=int, default=3, show_default=True, help="To a fresh lab, after the first.")
@click.option("--minutes", type=float, default=1.0, show_default=True, help="How long runs are replayed.")
@click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def page_command(orders: int, seconds: float, visits: int, minutes: float, model: str, as_json: bool) -> None:
    """The page in Chromium: until it moves, frames and work of two busy kitchens, memory. Needs Playwright."""
    whole("orders", orders, 1, 1000)
    number("seconds", seconds, above=0, unit="seconds")
    whole("visits", visits, 1, 100)
    number("minutes", minutes, above=0, unit="minutes")
    say(measure(model, orders, seconds, visits, minutes), as_json)
