"""Model and reality: the simulator foretells a run of the real engine, and the page says how far it was off."""

import msgspec
import streamlit as st

from engine.errors import BadInput
from engine.events import TokenMade
from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.log import Log
from engine.scenario import Deployment, Scenario, Workload
from engine.sim.reality import Verdict, against, calibrated
from engine.sim.run import simulate, worker_like
from engine.units import in_words
from lab.clusters.reality_charts import CLOSE, shares_alt, shares_figure, verdict_says, verdict_table
from lab.runs.engine_client import ENGINE_ROOM, MODEL, WORKERS
from lab.runs.live_scene import live as watched
from lab.scene.choices import LINKS, choose_kind
from lab.scene.component import scene
from lab.scene.words import TITLES
from lab.ui.learner import learner
from lab.ui.style import look

ORDERS = (8, 12, 16, 24)
SLIDER = 158
TAIL_S = 4  # until the last order is served, more or less: one comes a second


def page() -> None:
    look()
    st.title("Model and reality", anchor=False)
    st.markdown(
        "Scale up and Your lab simulate clusters that are not here. Why believe them? The real engine runs once, and "
        "the simulator learns from that run **how long a step takes**, nothing else. Then other orders come in: the "
        "simulator foretells them, the engine serves them, and both are laid over each other."
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        scenario = _choose()
        opening = st.container(width="content")
    with opening:
        _buttons(scenario)
    with st.container():
        _progress(2 * (scenario.workload.requests + TAIL_S))
    _watch()
    _verdict()


def _choose() -> Scenario:
    kind = choose_kind("foretold_kitchen")
    orders = st.select_slider("Orders", ORDERS, 12, key="foretold_orders", bind="query-params", width=SLIDER)
    link = st.select_slider(
        "Link bandwidth",
        LINKS,
        20e6,
        format_func=lambda rate: in_words(rate, "B/s") if rate else "unpaced",
        key="foretold_link",
        bind="query-params",
        width=SLIDER,
    )
    load = Workload(requests=orders, rate_per_s=1.0, prompt_tokens=64, output_tokens=32, long_prompt_tokens=512)
    load = msgspec.structs.replace(load, long_every=3, ignore_eos=True)
    return Scenario(Deployment(kind, workers=WORKERS), LinkSpec(link or None), load, MODEL)


def _runs() -> list[str]:
    """The run to learn from and the run foretold."""
    runs: list[str] = st.session_state.setdefault("reality", [])
    return runs


def _over(run: str) -> bool:
    known = ENGINE_ROOM.hub.runs.get(run)
    return known is None or known.over


def _buttons(scenario: Scenario) -> None:
    if any(not _over(run) for run in _runs()):
        if st.button("Stop", icon=":material/stop:"):
            for run in reversed(_runs()):
                ENGINE_ROOM.stop(run)
        return
    ready = ENGINE_ROOM.state == "ready"
    if st.button("Run it twice", type="primary", icon=":material/play_arrow:", disabled=not ready):
        other = msgspec.structs.replace(scenario.workload, seed=scenario.workload.seed + 1)
        try:
            both = scenario, msgspec.structs.replace(scenario, workload=other)
            st.session_state["reality"] = ENGINE_ROOM.start_all(both, by=learner())
        except BadInput as wrong:
            st.error(str(wrong))
            return
        st.rerun()


@st.fragment(run_every=1.0)
def _progress(takes_s: float) -> None:
    """How far the two runs are; and whether what this page shows has changed."""
    state = (ENGINE_ROOM.state, *map(_over, _runs()))
    if st.session_state.get("reality state", state) != state:
        st.session_state["reality state"] = state
        st.rerun()
    st.session_state["reality state"] = state
    if ENGINE_ROOM.state == "broken":
        st.caption(f":material/error: The engine can't run here: {ENGINE_ROOM.why}")
    elif ENGINE_ROOM.state != "ready":
        st.caption(":material/local_fire_department: The engine is warming up.")
    elif not _runs():
        st.caption(f":material/check_circle: The engine is ready. Both runs together take about {takes_s:.0f} s.")
    for run, what in zip(_runs(), ("To learn from", "Foretold"), strict=False):
        if not _over(run):
            share, place = _share(run), ENGINE_ROOM.place(run)
            st.progress(share, f"{what}: place {place} in the queue" if place else f"{what}: {share:.0%} of all tokens")


def _watch() -> None:
    """The kitchen, live, of the run that has its turn."""
    turn = next((run for run in _runs() if not _over(run)), None)
    if turn is not None and (spec := watched(turn)):
        scene({"kitchens": [spec], "can": []})


def _share(run: str) -> float:
    log = ENGINE_ROOM.log(run)
    if log is None:
        return 0.0
    load = log.scenario.workload
    made = sum(isinstance(event, TokenMade) for event in log.events)
    return min(1.0, made / (load.requests * load.output_tokens))


def _verdict() -> None:
    if not _runs() or not all(map(_over, _runs())):
        return
    logs = [ENGINE_ROOM.log(run) for run in _runs()]
    learned, live = logs if len(logs) == 2 else (None, None)
    if learned is None or live is None or not learned.events or not live.events:
        st.warning("These runs are gone, or were stopped before their end. Run it twice again.")
        return
    try:
        verdict, simulated = _foretell(_runs()[1], learned, live)
    except BadInput as wrong:
        st.warning(f"Nothing can be foretold from the first run: {wrong}")
        return
    st.markdown(f"#### {verdict_says(verdict)}")
    with st.container(horizontal=True):
        for name in ("TTFT", "ITL", "E2E"):
            figure = shares_figure(live, simulated, name)
            with st.container(width=360):
                st.plotly_chart(
                    figure, key=name, alt=shares_alt(live, simulated, name), config={"displayModeBar": False}
                )
    st.table(verdict_table(verdict), border="horizontal")
    st.caption(
        f"{TITLES[live.scenario.deployment.kind]}, {live.scenario.workload.requests} orders, on {live.machine}. "
        f"One run of each. Steps of the second run took {verdict.decode_contention:.2f} times as long for decode and "
        f"{verdict.prefill_contention:.2f} times for prefill as the same steps in the first: that part of the error is "
        "the machine's own unrest. The last column takes it out; what is left is the model's. Within "
        f"{CLOSE:.0%} counts as close."
    )


@st.cache_data(max_entries=16, show_spinner="Simulating", hash_funcs={Log: lambda log: len(log.events)})
def _foretell(run: str, learned: Log, live: Log) -> tuple[Verdict, Log]:
    worker = calibrated(worker_like(prepare(live.scenario.model)), learned.events)
    return against(live, worker), simulate(live.scenario, worker)
