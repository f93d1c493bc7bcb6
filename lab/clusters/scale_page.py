"""Scale up: the same questions for GPUs that the lab does not have, answered by the simulator."""

from collections.abc import Callable

import msgspec
import streamlit as st

from engine.errors import BadInput
from engine.fleet.advisor.question import Question
from engine.fleet.catalog.hardware import gpu, gpus
from engine.fleet.catalog.hf_config import models
from engine.fleet.catalog.sites import SITES
from engine.fleet.estimate.step_cost import error_of
from engine.fleet.sweep.payoff import margin, question_of
from engine.fleet.sweep.plans import busy_rate_per_s
from engine.fleet.sweep.said import ASKS, Boundary, Curve, Ratio, Sweep
from engine.units import in_words, percent
from lab.clusters import payoff_charts as payoff, sweep_charts as charts
from lab.clusters.jobs import Jobs, SweepJob, SweepResult, compared, sustained, tried
from lab.clusters.names import BETTER
from lab.clusters.scale_kitchen import watch, watched_ratio
from lab.ui.session import widget_changed
from lab.ui.style import SLIDER, STILL, style

TITLES = {
    "load": "How much load?",
    "ratio": "How many of each?",
    "prompt": "How long a prompt?",
    "promise": "How tight a promise?",
    "link": "How fast a link?",
    "map": "When does it pay?",
}
TUNED = (
    f"{BETTER} TP, chunks and pools are tuned for each side at each value; where the sides cross, both are simulated."
)
EXPLAINS = {
    "load": "The same GPUs serve co-located, with whole prompts or with chunked prefill, or split. With more and more "
    "requests per second, how many can the best plan of each kind sustain until one in ten misses an SLO? TTFT: time "
    "to first token. TPOT: mean time per token after it.",
    "ratio": "The same GPUs, more or fewer of them for prefill: which split sustains the most requests per second, and "
    "which more than co-location? TP and chunks are tuned for each.",
    "prompt": f"From which prompt on does splitting sustain more requests per second than co-location? {TUNED}",
    "promise": f"Below which TPOT promise does splitting sustain more than co-location? {TUNED}",
    "link": f"From which link on does splitting sustain more than co-location? {TUNED}",
    "map": f"Prompt length against the TPOT promise: which sustains the most requests per second? {TUNED}",
}
PROMPTS = (256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
SHARE = 0.9  # of the rate that keeps all workers busy: what the advisor is asked about
OUTPUTS = (16, 32, 64, 128, 256, 512)
TTFTS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
TPOTS = (0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2)


def page(jobs: Jobs, to_advisor: Callable[[Question], None] | None = None) -> None:
    """Draw the page: the controls, the sweep or its progress, its result, a kitchen to watch, and the fine print.

    `to_advisor` leads to the advisor's page, filled in with a question.
    """
    style()
    st.title("Scale up", anchor=False)
    st.markdown(
        "Should **your** GPUs split prefill from decode? The lab's own scheduler and router, on simulated GPUs, for "
        "clusters that do not fit on a laptop."
    )
    asked = _choose()
    _buttons(jobs, asked)
    _progress(asked)
    result = jobs.sweeps.get(asked)
    if result:
        _show(asked, result)
    if to_advisor:
        _offer_advice(asked, to_advisor)
    watch(jobs, asked, result)
    _fine_print(asked)


def _offer_advice(asked: Sweep, to_advisor: Callable[[Question], None]) -> None:
    """One click leads to the same site and load on the advisor's page."""
    if st.button("Ask the advisor about this site", icon=":material/support_agent:", key="to_advisor"):
        try:
            question = question_of(asked.checked())
            rate = float(f"{SHARE * busy_rate_per_s(question):.2g}")
        except BadInput as wrong:
            st.error(str(wrong))
            return
        to_advisor(msgspec.structs.replace(question, rate_per_s=rate))


def _choose() -> Sweep:
    asks = st.segmented_control(
        "Question",
        ASKS,
        default="load",
        required=True,
        wrap=True,
        format_func=TITLES.__getitem__,
        key="asks",
        bind="query-params",
    )
    with st.container(horizontal=True, gap="medium"):
        where = st.selectbox(
            "Site",
            list(SITES),
            1,
            format_func=lambda name: SITES[name].label,
            key="site",
            bind="query-params",
            width=230,
        )
        known_gpus, shipped = gpus(), models()
        with widget_changed("site", where) as moved:
            if moved:
                st.session_state["site_gpu"] = SITES[where].gpu
            card = st.selectbox(
                "GPU",
                list(known_gpus),
                list(known_gpus).index("h100-sxm"),
                format_func=lambda name: known_gpus[name].label,
                key="site_gpu",
                bind="query-params",
                width=200,
            )
        model = st.selectbox(
            "Model",
            list(shipped),
            list(shipped).index("llama-3.1-8b"),
            format_func=lambda name: shipped[name].label,
            key="site_model",
            bind="query-params",
            width=200,
        )
    with st.container(horizontal=True, gap="medium"):
        prompt = st.select_slider("Prompt, tokens", PROMPTS, 4096, key="isl", bind="query-params", width=SLIDER)
        output = st.select_slider("Output, tokens", OUTPUTS, 128, key="osl", bind="query-params", width=SLIDER)
        ttft = st.select_slider(
            "TTFT SLO", TTFTS, 1.0, format_func=_time, key="ttft_slo", bind="query-params", width=SLIDER
        )
        tpot = st.select_slider(
            "TPOT SLO", TPOTS, 0.03, format_func=_time, key="tpot_slo", bind="query-params", width=SLIDER
        )
    return Sweep(
        asks=asks,  # type: ignore[arg-type]  # checked with the rest
        site=where,
        gpu=card,
        model=model,
        prompt_tokens=prompt,
        output_tokens=output,
        ttft_slo_s=ttft,
        tpot_slo_s=tpot,
    )


# ---- the sweep


def _sweeping() -> SweepJob | None:
    """This session's sweep, running or finished."""
    sweeping: SweepJob | None = st.session_state.get("sweeping")
    return sweeping


def _buttons(jobs: Jobs, asked: Sweep) -> None:
    st.caption(EXPLAINS[asked.asks])
    sweeping = _sweeping()
    if sweeping and not sweeping.job.over:
        if st.button("Cancel", icon=":material/stop:", key="cancel"):
            sweeping.job.cancel()
            del st.session_state["sweeping"]
            st.rerun()
        return
    if jobs.sweeps.get(asked):
        return
    if st.button("Simulate", type="primary", icon=":material/play_arrow:", key="simulate"):
        try:
            st.session_state["sweeping"] = jobs.sweep(asked)
        except BadInput as wrong:
            st.error(str(wrong))
            return
        st.rerun()


@st.fragment(run_every=0.7)
def _progress(asked: Sweep) -> None:
    """The sweep's progress. Reruns the page when it has finished."""
    sweeping = _sweeping()
    if sweeping is None:
        return
    sweeping.job.keep_alive()
    if sweeping.job.over:
        if sweeping.job.why:
            st.error(sweeping.job.why)
        elif st.session_state.get("swept") != sweeping.asked:
            st.session_state["swept"] = sweeping.asked
            st.rerun()
        return
    st.session_state.pop("swept", None)
    if sweeping.share is None:
        st.progress(0.0, "Waiting for another sweep to finish.")
        return
    assert sweeping.begun
    says = f"{len(sweeping.points)} of at most {sweeping.begun.points} points"
    if sweeping.asked != asked:
        says += f", for settings other than those above ({TITLES[sweeping.asked.asks]})"
    st.progress(min(1.0, sweeping.share), says)


# ---- the result


def _show(asked: Sweep, result: SweepResult) -> None:
    match asked.asks:
        case "load":
            points = tried(result.points)
            says, table = (
                charts.load_says(sustained(result.points), margin(question_of(asked))),
                charts.load_table(points),
            )
            _says(says)
            left, right = st.columns(2)
            for place, share in ((left, True), (right, False)):
                about = "Share of requests that met both SLOs" if share else "Good requests per second and GPU"
                place.markdown(f"**{about}**")
                figure = charts.load_figure(points, share=share)
                place.plotly_chart(figure, key=f"load{share}", alt=f"{about}, over the rate. {says}", config=STILL)
        case "ratio":
            rates, gpus = sustained(result.points), SITES[asked.site].gpus
            (ratio,) = [point for point in result.points if isinstance(point, Ratio)]
            says, table = charts.ratio_says(rates, ratio), charts.ratio_table(rates, gpus)
            _says(says)
            watched = watched_ratio(asked, result)
            figure = charts.ratio_figure(rates, ratio, gpus, watched)
            alt = f"{says} You are at {watched}:{gpus - watched}." if watched else says
            st.plotly_chart(figure, key="ratio", alt=alt, config=STILL)
        case "map":
            simulated = compared(result.points)
            (found,) = [point for point in result.points if isinstance(point, Boundary)]
            here = (asked.prompt_tokens, asked.tpot_slo_s)
            says, table = payoff.map_says(found, here), payoff.map_table(simulated)
            _says(says)
            figure = payoff.map_figure(found, simulated, here)
            st.plotly_chart(figure, key="map", alt=says + " The table below has what was simulated.", config=STILL)
            st.caption(_drawn_how(found.error))
        case _:
            simulated = compared(result.points)
            (curve,) = [point for point in result.points if isinstance(point, Curve)]
            says, table = payoff.curve_says(curve), payoff.curve_table(curve.input, simulated)
            _says(says)
            figure = payoff.curve_figure(curve, simulated)
            st.plotly_chart(figure, key="curve", alt=says + " The table below has what was simulated.", config=STILL)
            st.caption(_drawn_how(curve.error))
    with st.expander("As a table"):
        st.table(table, border="horizontal")


def _drawn_how(error: float) -> str:
    return (
        f"Lines: the advisor's formulas, scaled to what was simulated, within {percent(error)}. Where the sides differ "
        "by less, nobody can call it."
    )


def _says(sentence: str) -> None:
    st.markdown(f"#### {sentence}")


def _fine_print(asked: Sweep) -> None:
    where, card = SITES[asked.site], gpu(asked.gpu)
    road = where.fabric(card)
    says = [
        f"**Simulated, not measured.** {error_of(card, 'vllm', question_of(asked).shape)} "
        "Scheduling, queues, batches and KV blocks are the engine's own code in simulated time.",
        f"Poisson arrivals, equal lengths, seed {asked.seed}, one run per point.",
    ]
    says.append(
        "Sustained, for the advisor as well: the highest rate that keeps 90 % of TTFTs and 90 % of TPOTs within SLOs "
        "in a steady state. Of many equal workers, a few are simulated."
    )
    if asked.asks == "load":
        says.append("Where a queue grows without end, no request counts as good.")
    one = "shared by all" if where.one_port else "one per GPU"
    says.append(f"Trays cross {road.label}, {one}, at {in_words(road.achieved_bytes_per_s, 'B/s')}.")
    says.append("**Not included:** prefix caching and varying lengths.")
    st.caption("  \n".join(says))


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1e3:g} ms"
