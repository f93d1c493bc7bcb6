"""Scale up: its process comes and goes, the page says what it found, and both kinds of visitors can use it."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from engine.errors import BadInput
from engine.fleet.sweep.sweep import LOADS, MAP_PROMPTS, MAP_ROADS, Begun, Borne, Sweep, Tried
from engine.scenario import KINDS
from lab.clusters import sweeping
from lab.clusters.sweep_charts import load_table, map_figure, map_table, ratio_says
from lab.clusters.sweeping import Sweeping, known
from lab.clusters.watching import Watching
from lab.runs import background_job as errand
from tests.lab.conftest import Lab, alive
from tests.lab.looks import faults
from tests.patience import PATIENCE_S, comes

pytestmark = pytest.mark.live  # its sweeps are processes that give way to all others

QUICK = Sweep("ratio", "lab", "h100-sxm", prompt_tokens=8192, output_tokens=16)
LONG = Sweep("load", "nvl72", "gb200", prompt_tokens=256, output_tokens=512)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(errand, "UNSEEN_S", PATIENCE_S)
    sweeping._kept.clear()
    yield
    sweeping._kept.clear()


def finished(asked: Sweep) -> Sweeping:
    one = Sweeping(asked)
    assert comes(lambda: one.over)
    return one


def process(one: Sweeping) -> int:
    assert comes(lambda: one._process is not None)
    assert one._process
    return one._process.pid


# ---- the process


def test_a_result_is_kept_for_whoever_asks_next() -> None:
    assert known(QUICK) is None
    one = finished(QUICK)
    assert one.why == ""
    assert one.share == 1.0
    result = known(QUICK)
    assert result
    assert (result.begun, list(result.points)) == (one.begun, one.points)
    assert known(msgspec.structs.replace(QUICK, seed=1)) is None


def test_cancelling_ends_the_process_and_keeps_nothing() -> None:
    one = Sweeping(LONG)
    pid = process(one)
    assert alive([pid])
    one.cancel()
    assert comes(lambda: one.over and not alive([pid]))
    assert one.why == "Cancelled."
    assert known(LONG) is None


def test_a_sweep_that_nobody_looks_at_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand, "UNSEEN_S", 0.0)
    one = Sweeping(LONG)
    assert comes(lambda: one.over)
    assert known(LONG) is None


def test_few_run_at_a_time_and_a_waiting_one_can_be_cancelled() -> None:
    running = [Sweeping(LONG) for _ in range(sweeping.AT_ONCE)]
    pids = [process(one) for one in running]
    waiting = Sweeping(QUICK)
    try:
        time.sleep(0.2)
        assert waiting._process is None
        assert waiting.share is None
        waiting.cancel()
        assert comes(lambda: waiting.over)
    finally:
        for one in running:
            one.cancel()
        assert comes(lambda: all(one.over for one in running) and not alive(pids))


def test_what_breaks_off_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    one = finished(QUICK)
    assert one.why.startswith("The simulation broke off")


def test_bad_input_starts_nothing() -> None:
    with pytest.raises(BadInput, match="output tokens is 100000"):
        Sweeping(msgspec.structs.replace(QUICK, output_tokens=100_000))


# ---- the page


def show(asked: Sweep, *, watching: bool = False) -> AppTest:
    def script() -> None:
        from lab.clusters.scale_page import page

        page()

    app = AppTest.from_function(script, default_timeout=PATIENCE_S)
    app.session_state["asks"], app.session_state["site"] = asked.asks, asked.site
    app.session_state["site_gpu"], app.session_state["isl"] = asked.gpu, asked.prompt_tokens
    app.session_state["osl"], app.session_state["tpot_slo"] = asked.output_tokens, asked.tpot_slo_s
    app.session_state["watch"] = watching
    return app.run()


def says(app: AppTest) -> str:
    assert not app.exception
    return "\n".join(element.value for element in [*app.markdown, *app.caption])


def charts(app: AppTest) -> list[Any]:
    return [element.proto for element in app.get("plotly_chart")]


@pytest.mark.parametrize("asks", ["load", "ratio"])
def test_the_page_sweeps_once_and_shows_what_came(asks: str) -> None:
    asked = msgspec.structs.replace(QUICK, asks=asks)
    app = show(asked)
    assert "Simulated, not measured" in says(app)
    assert charts(app) == []
    app.button(key="simulate").click().run()
    assert [button.label for button in app.button] == ["Cancel"]
    one: Sweeping = app.session_state["sweeping"]
    assert one.asked == asked
    assert comes(lambda: one.over)
    app.run()
    assert [button.label for button in app.button] == []
    figures = charts(app)
    assert len(figures) == {"load": 2, "ratio": 1}[asks]
    assert all(figure.alt for figure in figures)
    assert len(app.table) == 1
    assert charts(show(asked)) != []  # another session


def test_the_page_can_be_cancelled() -> None:
    app = show(LONG)
    app.button(key="simulate").click().run()
    one: Sweeping = app.session_state["sweeping"]
    app.button(key="cancel").click().run()
    assert comes(lambda: one.over)
    app.run()
    assert [button.label for button in app.button] == ["Simulate"]


def test_a_kitchen_of_all_its_stations_is_drawn() -> None:
    app = show(QUICK, watching=True)
    one: Watching = app.session_state["watching"]
    assert "Simulating" in says(app)
    assert comes(lambda: one.over)
    app.run()
    assert not app.exception
    (data,) = [json.loads(element.proto.json) for element in app.get("bidi_component")]
    (drawn,) = data["kitchens"]
    assert drawn["deployment"] == "disaggregated"
    (deployed,) = [motion for motion in json.loads(drawn["motions"]) if motion["kind"] == "deployed"]
    assert len(deployed["roles"]) == 4
    assert "simulated" in drawn["note"]
    app.slider[0].set_value(3).run()
    another: Watching = app.session_state["watching"]
    assert another.asked.prefill_workers == 3


def test_a_model_too_large_is_one_sentence() -> None:
    app = show(msgspec.structs.replace(QUICK, gpu="l4"))
    app.selectbox(key="site_model").set_value("llama-3.3-70b").run()
    app.button(key="simulate").click().run()
    assert [error.value.split(",")[0] for error in app.error] == ["model is 'llama-3.3-70b on 8 × l4 a worker'"]


def test_tables_say_what_figures_show() -> None:
    """Of made-up points, as many as a sweep has."""
    load = [Tried(kind, 0, rate, 0.9, rate / 4, 0.5, 0.01) for rate in LOADS for kind in KINDS]
    assert {len(column) for column in load_table(load).values()} == {len(LOADS) * len(KINDS)}
    begun = Begun(5, workers=4, tp=1, chunk=2048, road="nvlink4", link_bytes_per_s=360e9, span_s=16.0)
    together = [Borne("colocated", 0, 8192, "nvlink4", 9.7), Borne("chunked", 0, 8192, "nvlink4", 13.1)]
    split = [Borne("disaggregated", prefill, 8192, "nvlink4", 3.7 * prefill) for prefill in (1, 2, 3)]
    assert ratio_says([*together, *split], begun).startswith("The best split is 3P1D with 11.1 requests/s")
    mapped = [
        Borne(kind, 0, tokens, road, rate / tokens * (1.0 if kind == "chunked" else MAP_ROADS.index(road)))
        for tokens, rate in zip(MAP_PROMPTS, (50.0, 60.0, 70.0, 0.0), strict=True)
        for road in MAP_ROADS
        for kind in KINDS
    ]
    assert {len(column) for column in map_table(mapped).values()} == {20}
    figure = map_figure(mapped)
    assert sum(len(trace.x) for trace in figure.data) == 20
    shown = {trace.name: len(trace.x) for trace in figure.data}
    told = [verdict.rpartition(" +")[0] or verdict for verdict in map_table(mapped)["Bears most"]]
    assert shown == Counter(told)


@pytest.mark.browser
@pytest.mark.live
def test_in_a_browser(lab: Lab, browser: Browser) -> None:
    """On a phone: choose by keyboard what the address did not, simulate, read, without a fault that axe knows."""
    window = browser.new_context(viewport={"width": 390, "height": 844})
    page = window.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(f"{lab.url}/scale?site=4-GPU+lab&site_gpu=H100+SXM&isl=8192&osl=16")
        expect(page.get_by_text("Simulated, not measured.")).to_be_visible()
        page.get_by_role("radio", name="How many of each?").focus()
        page.keyboard.press("Space")
        page.get_by_role("button", name="Simulate").click()
        expect(page.get_by_role("heading", name="The best split is")).to_be_visible()
        page.get_by_text("The same as a table").click()
        expect(page.get_by_role("table")).to_be_visible()
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert errors == []
    finally:
        window.close()
