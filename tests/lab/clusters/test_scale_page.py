"""Scale up: its process comes and goes, the page says what it found, and both kinds of visitors can use it."""

import json
import sys
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from engine.errors import BadInput
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.plan import Pool
from engine.fleet.advisor.question import Question
from engine.fleet.sweep.said import Boundary, Compared, Curve, Edge, Plan, Ratio, Sustained, Sweep, Tried
from engine.fleet.sweep.sweep import LOADS
from engine.scenario import KINDS
from lab.clusters.jobs import Jobs, KitchenJob, SweepJob
from lab.clusters.payoff_charts import curve_figure, curve_says, curve_table, map_figure, map_says, map_table
from lab.clusters.sweep_charts import load_says, load_table, ratio_figure, ratio_says, ratio_table
from tests.lab.conftest import Lab, alive
from tests.lab.looks import faults
from tests.patience import PATIENCE_S, comes

pytestmark = pytest.mark.live  # its sweeps are processes that give way to all others

QUICK = Sweep("ratio", "lab", "h100-sxm", prompt_tokens=8192, output_tokens=16)
LONG = Sweep("load", "nvl72", "gb200", prompt_tokens=256, output_tokens=512)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs(PATIENCE_S)


def finished(jobs: Jobs, asked: Sweep) -> SweepJob:
    one = jobs.sweep(asked)
    assert comes(lambda: one.job.over)
    return one


def process(one: SweepJob) -> int:
    assert comes(lambda: one.job.pid is not None)
    assert one.job.pid
    return one.job.pid


# ---- the process


def test_a_result_is_kept_for_whoever_asks_next(jobs: Jobs) -> None:
    assert jobs.sweeps.get(QUICK) is None
    one = finished(jobs, QUICK)
    assert one.job.why == ""
    assert one.share == 1.0
    result = jobs.sweeps.get(QUICK)
    assert result
    assert (result.begun, list(result.points)) == (one.begun, one.points)
    assert jobs.sweeps.get(msgspec.structs.replace(QUICK, seed=1)) is None


def test_cancelling_ends_the_process_and_keeps_nothing(jobs: Jobs) -> None:
    one = jobs.sweep(LONG)
    pid = process(one)
    assert comes(lambda: alive([pid]))  # a process that is being started has no command line for a moment
    one.job.cancel()
    assert comes(lambda: one.job.over and not alive([pid]))
    assert one.job.why == "Cancelled."
    assert jobs.sweeps.get(LONG) is None


def test_a_sweep_that_nobody_looks_at_ends() -> None:
    jobs = Jobs(idle_s=0.0)
    one = jobs.sweep(LONG)
    assert comes(lambda: one.job.over)
    assert one.job.why == "Cancelled."
    assert jobs.sweeps.get(LONG) is None


def test_few_run_at_a_time_and_a_waiting_one_can_be_cancelled(jobs: Jobs) -> None:
    running = [jobs.sweep(LONG) for _ in range(Jobs.SWEEPS_AT_ONCE)]
    pids = [process(one) for one in running]
    waiting = jobs.sweep(QUICK)
    try:
        assert not jobs.sweep_slots.acquire(blocking=False)
        waiting.job.cancel()
        assert comes(lambda: waiting.job.over)
        assert (waiting.job.pid, waiting.share) == (None, None)
    finally:
        for one in running:
            one.job.cancel()
        assert comes(lambda: all(one.job.over for one in running) and not alive(pids))


def test_a_job_that_fails_says_why(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert finished(jobs, QUICK).job.why.startswith("The simulation failed")


def test_bad_input_starts_nothing(jobs: Jobs) -> None:
    with pytest.raises(BadInput, match="output tokens is 100000"):
        jobs.sweep(msgspec.structs.replace(QUICK, output_tokens=100_000))


# ---- the page


def show(jobs: Jobs, asked: Sweep, *, watching: bool = False) -> AppTest:
    def script(jobs) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.clusters.scale_page import page

        page(jobs)

    app = AppTest.from_function(script, args=(jobs,), default_timeout=PATIENCE_S)
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


@pytest.mark.parametrize("asks", ["load", "ratio", "link"])
def test_the_page_sweeps_once_and_shows_what_came(jobs: Jobs, asks: str) -> None:
    asked = msgspec.structs.replace(QUICK, asks=asks)
    app = show(jobs, asked)
    assert "Simulated, not measured" in says(app)
    assert charts(app) == []
    app.button(key="simulate").click().run()
    assert [button.label for button in app.button] == ["Cancel"]
    one: SweepJob = app.session_state["sweeping"]
    assert one.asked == asked
    assert comes(lambda: one.job.over)
    app.run()
    assert [button.label for button in app.button] == []
    figures = charts(app)
    assert len(figures) == {"load": 2, "ratio": 1, "link": 1}[asks]
    assert all(figure.alt for figure in figures)
    assert len(app.table) == 1
    assert charts(show(jobs, asked)) != []  # another session
    told = charts(show(jobs, asked, watching=True))[0].alt
    assert asks != "ratio" or "You are at" in told


def test_the_page_can_be_cancelled(jobs: Jobs) -> None:
    app = show(jobs, LONG)
    app.button(key="simulate").click().run()
    one: SweepJob = app.session_state["sweeping"]
    app.button(key="cancel").click().run()
    assert comes(lambda: one.job.over)
    app.run()
    assert [button.label for button in app.button] == ["Simulate"]


def test_a_kitchen_of_all_its_stations_is_drawn(jobs: Jobs) -> None:
    app = show(jobs, QUICK, watching=True)
    one: KitchenJob = app.session_state["watching"]
    assert "Simulating" in says(app)
    assert comes(lambda: one.job.over)
    app.run()
    assert not app.exception
    (data,) = [json.loads(element.proto.json) for element in app.get("bidi_component")]
    (drawn,) = data["kitchens"]
    assert drawn["deployment"] == "disaggregated"
    (deployed,) = [motion for motion in json.loads(drawn["motions"]) if motion["kind"] == "deployed"]
    assert len(deployed["roles"]) == 4
    assert "simulated" in drawn["note"]
    assert one.asked.candidate.prefill is not None
    assert one.asked.candidate.prefill.replicas != 1
    (ratio,) = [slider for slider in app.select_slider if slider.label.startswith("Prep stations")]
    ratio.set_value(1).run()
    another: KitchenJob = app.session_state["watching"]
    assert another.asked.candidate.prefill == Pool("h100-sxm", 1)


def test_one_click_leads_to_the_advisor_filled_in(jobs: Jobs) -> None:
    def script(jobs, led) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.clusters.scale_page import page

        page(jobs, led.append)

    led: list[Question] = []
    app = AppTest.from_function(script, args=(jobs, led), default_timeout=PATIENCE_S)
    app.session_state["watch"], app.session_state["isl"], app.session_state["site"] = False, 8192, "ethernet"
    app.run()
    app.button(key="to_advisor").click().run()
    (question,) = led
    assert (question.gpus, question.gpu, question.isl_tokens, question.promised) == (16, "h100-sxm", 8192, "tpot")
    assert (question.fabric, question.one_port) == ("eth-100g", True)  # as the site's kitchens and curves have it
    assert question.rate_per_s > 0
    assert question.checked() == question


def test_a_model_too_large_is_one_sentence(jobs: Jobs) -> None:
    app = show(jobs, msgspec.structs.replace(QUICK, gpu="l4"))
    app.selectbox(key="site_model").set_value("llama-3.3-70b").run()
    app.button(key="simulate").click().run()
    assert [error.value.split(",")[0] for error in app.error] == ["model is 'llama-3.3-70b on 8 × l4 a worker'"]


def test_thousands_of_requests_a_second_are_written_out() -> None:
    assert load_table([Tried("chunked", 1026.4, 1.0, 14.3, 0.5, 0.01)])["Requests/s"] == ["1,026"]


def test_tables_say_what_figures_show() -> None:
    """Of made-up points, as many as a sweep has."""
    load = [Tried(kind, rate, 0.9, rate / 4, 0.5, 0.01) for rate in LOADS for kind in KINDS]
    assert {len(column) for column in load_table(load).values()} == {len(LOADS) * len(KINDS)}


RATIOS = [
    Sustained("colocated", Candidate(both=Pool("h100-sxm", 4), chunk_tokens=0), 5.0),
    Sustained("chunked", Candidate(both=Pool("h100-sxm", 4)), 7.0),
    *(
        Sustained("disaggregated", Candidate(prefill=Pool("h100-sxm", p), decode=Pool("h100-sxm", 4 - p)), 3.7 * p)
        for p in (3, 1, 2)  # in the order in which they were simulated
    ),
]
TURN = Ratio((3, 3), 0.1, (Edge(1.9, 1.75, 2.05),))


def test_who_sustains_more_than_the_error_wins() -> None:
    whole, chunks, split = RATIOS[0], RATIOS[1], RATIOS[2]
    assert load_says([whole, chunks, split], 0.1) == (
        "3P1D (P of TP 1, D of TP 1): 11.1 requests/s; 4 × TP 1, chunks of 2,048: 7 requests/s; "
        "4 × TP 1, whole prompts: 5 requests/s. So split here: 59 % more."
    )
    assert "Within 60 %, a split neither wins nor loses here" in load_says([whole, chunks, split], 0.6)
    none = [msgspec.structs.replace(one, rate_per_s=0.0) for one in (whole, chunks, split)]
    assert load_says(none, 0.1) == "No plan meets these SLOs for 90 % of the requests at any rate."


def test_ratios_are_compared_with_the_best_co_located_plan() -> None:
    says = ratio_says(RATIOS, TURN)
    assert says.startswith("The best split is 3P1D (P of TP 1, D of TP 1): 11.1 requests/s. No other ratio is as good")
    assert "more than 4 × TP 1, chunks of 2,048: 7 requests/s, with 2 to 3 GPUs for prefill." in says
    near = ratio_says([*RATIOS[:1], Sustained("chunked", RATIOS[1].plan, 10.5), *RATIOS[2:]], TURN)
    assert near.endswith("with 3 GPUs for prefill, which is too close to call.")
    figure = ratio_figure(RATIOS, TURN, 4, 3)
    assert next(tuple(trace.x) for trace in figure.data if trace.name == "split") == (1, 2, 3)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(1.75, 2.05), (1.9, 1.9), (3, 3)]
    assert len(ratio_figure(RATIOS, TURN, 4, None).layout.shapes) == 2
    assert ratio_table(RATIOS, 4)["Requests/s"] == ["5", "7", "3.7", "7.4", "11.1"]


def test_no_ratio_that_sustains_more_is_one_sentence_with_what_would_change_it() -> None:
    flat = Ratio((2, 3), 0.1, same="colocated", instead=("a TPOT promise of 9 ms instead of 40 ms",))
    says = ratio_says(RATIOS, flat)
    assert says.startswith("Keeping both together sustains more at every ratio simulated. What would change it: a TPOT")
    assert "2 to 3 GPUs for prefill are as good within 10 %." in says


PROMISES = (0.01, 0.02, 0.04)
TURNS = Curve("promise", PROMISES, (1.0, 4.0, 8.0), (2.0, 5.0, 6.0), 0.04, 0.1, 0.024, 0.021, 0.028)
SIMULATED = [
    Compared(4096, 0.04, "NVLink 4", 337e9, Plan("8 × TP 1, chunks of 512", 8.0), Plan("6P2D", 6.0)),
    Compared(4096, 0.024, "NVLink 4", 337e9, Plan("8 × TP 1, chunks of 256", 5.5), Plan("", 0.0)),
]


def test_a_curve_shows_its_flip_with_its_range_and_you() -> None:
    says = curve_says(TURNS)
    assert says.startswith("Up to 24 ms splitting sustains more, above it co-location")
    assert "between 21 ms and 28 ms" in says
    assert "You are at 40 ms." in says
    figure = curve_figure(TURNS, SIMULATED)
    drawn = {trace.name: [value for value in trace.y if value] for trace in figure.data}
    assert drawn["co-located, simulated"] == [8.0, 5.5]
    assert drawn["split, simulated"] == [6.0]
    assert "you are here" in [annotation.text for annotation in figure.layout.annotations]
    assert any(shape.type == "rect" and (shape.x0, shape.x1) == (21.0, 28.0) for shape in figure.layout.shapes)
    assert curve_table("promise", SIMULATED)["Best split"] == ["6P2D: 6/s", "meets the SLOs at no rate"]


def test_the_same_everywhere_is_one_sentence_with_what_would_change_it() -> None:
    flat = msgspec.structs.replace(
        TURNS, flip=None, same="colocated", instead=("a TPOT promise of 9 ms instead of 40 ms",)
    )
    assert curve_says(flat) == (
        "Keeping both together sustains more at every TPOT promise simulated. "
        "What would change it: a TPOT promise of 9 ms instead of 40 ms."
    )
    assert [shape.type for shape in curve_figure(flat, SIMULATED).layout.shapes] == ["line"]  # you, and no flip
    assert "Nothing meets these SLOs" in curve_says(msgspec.structs.replace(flat, same="none", instead=()))


def test_a_map_tells_both_sides_the_tie_and_you_apart() -> None:
    found = Boundary((512, 4096), PROMISES, ((2.0, 3.0), (1.0, 2.0), (0.5, None)), 0.1)
    figure = map_figure(found, SIMULATED, (4096, 0.02))
    shown = {trace.name: len(trace.x) for trace in figure.data if trace.type == "scatter"}
    assert shown == {
        "co-located": 1,
        "split": 3,
        "the same within 10 %": 1,
        "none meets the SLOs": 1,
        "simulated": 1,
        "you are here": 1,
    }
    assert sum(trace.type == "contour" for trace in figure.data) == 3
    assert "You are on the split side, at 4,096 tokens and 20 ms." in map_says(found, (4096, 0.02))
    assert {len(column) for column in map_table(SIMULATED).values()} == {2}


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
        page.get_by_text("As a table", exact=True).click()
        expect(page.get_by_role("table")).to_be_visible()
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("button", name="Ask the advisor about this site").click()
        expect(page.get_by_label("GPUs, in all")).to_have_value("4")
        expect(page.get_by_label("Prompt tokens (ISL)")).to_have_value("8192")
        assert faults(page) == []
        assert errors == []
    finally:
        window.close()
