"""Model and reality: the simulator predicts a run of the real engine, and the page shows how far off it was."""

import msgspec
import streamlit as st

from engine.errors import BadInput
from engine.events import TokenMade
from engine.failures import said_first
from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.log import Log
from engine.scenario import Deployment, Scenario
from engine.sim.reality import RealityVerdict, against, calibrated
from engine.sim.run import simulate, worker_like
from engine.units import in_words, percent
from lab.clusters.reality_charts import CLOSE, shares_alt, shares_figure, verdict_says, verdict_table
from lab.runs.engine_client import EngineClient
from lab.runs.live_scene import live as live_scene
from lab.scene.choices import Ranges, choose_kind, played, ranges
from lab.scene.component import scene
from lab.scene.words import TITLES
from lab.ui.learner import learner
from lab.ui.session import runs_on_show
from lab.ui.style import SLIDER, STILL, style

ORDERS = (8, 12, 16, 24)
TAIL_S = 4  # roughly, from the last arrival to its last token


def page(engine: EngineClient) -> None:
    """Draw the page: the controls, the two runs' progress, the live kitchen, and the comparison."""
    style()
    st.title("Model and reality", anchor=False)
    st.markdown(
        "Scale up and Your lab simulate clusters that are not here. Why believe them? The real engine runs once, and "
        "the simulator learns from that run **how long a step takes**, nothing else. Then other orders come in: the "
        "simulator predicts them, the engine serves them, and the page compares the two."
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        scenario = _choose(engine)
        opening = st.container(width="content")
    with opening:
        _buttons(engine, scenario)
    with st.container():
        load = scenario.workload
        _progress(engine, 2 * (load.requests / (load.rate_per_s or 1.0) + TAIL_S))
    _watch(engine)
    _verdict(engine)


def _choose(engine: EngineClient) -> Scenario:
    kind = choose_kind("foretold_kitchen")
    orders = st.select_slider("Orders", ORDERS, 12, key="foretold_orders", bind="query-params", width=SLIDER)
    settings = engine.settings
    steps = ranges(settings.model.device)
    link = _link(settings.unpaced_because, steps)
    load = msgspec.structs.replace(steps.foretold, requests=orders, long_every=3, ignore_eos=True)
    return Scenario(Deployment(kind, workers=settings.workers), LinkSpec(link or None), load, settings.model)


def _link(unpaced_because: str, steps: Ranges) -> float:
    if unpaced_because:
        st.caption(f"The link cannot be slowed down: {unpaced_because}.")
        return 0.0
    link: float = st.select_slider(
        "Link bandwidth",
        steps.link,
        steps.foretold_link,
        format_func=lambda rate: in_words(rate, "B/s") if rate else "unpaced",
        key="foretold_link",
        bind="query-params",
        width=SLIDER,
    )
    return link


def _runs() -> list[str]:
    """The run to learn from, and the run to predict."""
    return runs_on_show("reality")


def _buttons(engine: EngineClient, scenario: Scenario) -> None:
    if any(not engine.over(run) for run in _runs()):
        if st.button("Stop", icon=":material/stop:"):
            for run in reversed(_runs()):
                engine.stop(run)
        return
    ready = engine.state == "ready"
    if st.button("Run it twice", type="primary", icon=":material/play_arrow:", disabled=not ready):
        other = msgspec.structs.replace(scenario.workload, seed=scenario.workload.seed + 1)
        try:
            both = scenario, msgspec.structs.replace(scenario, workload=other)
            st.session_state["reality"] = engine.start_all(both, by=learner())
        except BadInput as wrong:
            st.error(str(wrong))
            return
        st.rerun()


@st.fragment(run_every=1.0)
def _progress(engine: EngineClient, takes_s: float) -> None:
    """The progress of both runs. Reruns the page when the engine's or a run's state has changed."""
    state = (engine.state, *map(engine.over, _runs()))
    if st.session_state.get("reality state", state) != state:
        st.session_state["reality state"] = state
        st.rerun()
    st.session_state["reality state"] = state
    if engine.state == "broken":
        st.caption(f":material/error: The engine can't run here: {engine.why}")
    elif engine.state != "ready":
        st.caption(":material/local_fire_department: The engine is warming up.")
    elif not _runs():
        st.caption(f":material/check_circle: The engine is ready. Both runs together take about {takes_s:.0f} s.")
    for run, what in zip(_runs(), ("To learn from", "To predict"), strict=False):
        if not engine.over(run):
            share, place = _share(engine, run), engine.place(run)
            how_far = f"place {place} in the queue" if place else f"{percent(share)} of all tokens"
            st.progress(share, f"{what}: {how_far}")


def _watch(engine: EngineClient) -> None:
    """The live kitchen of the run in progress."""
    turn = next((run for run in _runs() if not engine.over(run)), None)
    if turn is not None and (spec := live_scene(engine.run(turn))):
        scene({"kitchens": [spec], "can": [], **played(engine.settings.model.device)})


def _share(engine: EngineClient, run: str) -> float:
    log = engine.log(run)
    if log is None:
        return 0.0
    load = log.scenario.workload
    made = sum(isinstance(event, TokenMade) for event in log.events)
    return min(1.0, made / (load.requests * load.output_tokens))


def _verdict(engine: EngineClient) -> None:
    if not _runs() or not all(map(engine.over, _runs())):
        return
    logs = [engine.log(run) for run in _runs()]
    learned, live = logs if len(logs) == 2 else (None, None)
    if learned is None or live is None or not learned.events or not live.events:
        st.warning("The lab no longer has these runs, or they were stopped early. Run it twice again.")
        return
    try:
        verdict, simulated = _predict(_runs()[1], learned, live)
    except BadInput as wrong:
        st.warning(f"The first run is not enough for a prediction: {wrong}")
        return
    for sentence in (*said_first(learned.events), *said_first(live.events)):
        st.error(sentence, icon=":material/error:")
    st.markdown(f"#### {verdict_says(verdict)}")
    with st.container(horizontal=True):
        for name in ("TTFT", "ITL", "E2E"):
            figure = shares_figure(live, simulated, name)
            with st.container(width=360):
                st.plotly_chart(figure, key=name, alt=shares_alt(live, simulated, name), config=STILL)
    st.table(verdict_table(verdict), border="horizontal")
    st.caption(
        f"{TITLES[live.scenario.deployment.kind]}, {live.scenario.workload.requests} orders, on {live.machine}. "
        f"One run of each. Steps of the second run took {verdict.decode_contention:.2f} times as long for decode and "
        f"{verdict.prefill_contention:.2f} times for prefill as the same steps in the first: that part of the error is "
        "noise on this machine. The last column removes it; what is left is the model's own error. Within "
        f"{percent(CLOSE)} counts as close."
    )


@st.cache_data(max_entries=16, show_spinner="Simulating", hash_funcs={Log: lambda log: len(log.events)})
def _predict(run: str, learned: Log, live: Log) -> tuple[RealityVerdict, Log]:
    prepared = prepare(live.scenario.model, live.scenario.deployment.workers)
    worker = calibrated(worker_like(prepared), learned.events)
    return against(live, worker), simulate(live.scenario, worker)
