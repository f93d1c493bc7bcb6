"""The kitchen, for free play: choose, open it on the real engine, watch, change the link while trays are on it."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from engine.disturbed import disturbance
from engine.errors import BadInput
from engine.link import LinkSpec
from engine.log import Log, dump
from lab.kitchen import INTRO
from lab.kitchen.charts import gaps_alt, gaps_figure, results_table
from lab.kitchen.controls import Wish, choose_kinds, choose_scenarios
from lab.kitchen.link_scale import Scale, choose_scale, marks
from lab.kitchen.open_recordings import choose_recordings, show_numbers
from lab.runs.engine_client import EngineClient
from lab.runs.live_scene import live
from lab.scene.choices import LINKS
from lab.scene.component import scene
from lab.scene.export_html import export_kitchens, kitchen
from lab.scene.motions import motions
from lab.scene.recordings import recorded, replayed
from lab.scene.words import TITLES, titles
from lab.ui.downloads import download
from lab.ui.learner import learner
from lab.ui.session import runs_on_show, widget_changed
from lab.ui.style import style

WORKING_S, IDLE_S = 1.0, 10.0  # between two looks at the engine's state; each costs the page a frame or two
# On a phone the kitchen comes before the sliders: what moves should be seen first.
PHONE = """
@media (max-width: 640px) {
  [data-testid=stLayoutWrapper]:has(> .st-key-orders-and-link) { order: 1; }
  [data-testid=stLayoutWrapper]:has(> .st-key-below) { order: 2; }
}
"""


OPENS = "open the kitchen"  # a button's key in the session
BY_RUN: dict[str | type[Any], Any] = {  # what identifies a finished run
    Log: lambda log: (log.recorded_at, len(log.events), log.scenario)
}


def page(engine: EngineClient, offer_own: Callable[[Sequence[str]], None]) -> None:
    """`offer_own` draws the button that offers one's own runs to a class."""
    style(PHONE)
    _note(engine)
    st.title("Split Kitchen", anchor=False)
    st.markdown(INTRO)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kinds = choose_kinds()
        opening = st.container(width="content")  # filled last: it depends on choices further down
        more = st.popover("More settings", icon=":material/tune:")
    belt = dict(st.session_state.get("scene") or {})
    with widget_changed("belt", belt) as moved:
        if moved and belt:
            _take_belt(belt["link"])
        wish = choose_scenarios(kinds, more, engine.settings)
    with more:
        scale = choose_scale()
    with opening:
        _buttons(engine, wish)
    with st.container():
        idle = engine.state == "ready" and all(map(engine.over, _runs()))
        st.fragment(_status, run_every=IDLE_S if idle else WORKING_S)(engine)
    _follow_link(engine, wish.scenarios[0].link)
    _show(engine, wish, scale)
    with st.container(key="below"):
        with st.container():  # one place, with or without results: what follows keeps its place and is not made again
            offer_own(_runs())
            _results(engine)
        if choose_recordings():
            st.session_state["runs"] = []
            st.rerun()


def _runs() -> list[str]:
    return runs_on_show("runs")


# ---- opening and closing


def _buttons(engine: EngineClient, wish: Wish) -> None:
    ready = engine.state == "ready"
    if st.session_state.get(OPENS) and ready and all(map(engine.over, _runs())):
        _open(engine, wish)  # before its button is drawn, so that the page is drawn once
    open_runs = [run for run in _runs() if not engine.over(run)]
    if not open_runs:
        label = "Open the kitchens" if len(wish.scenarios) > 1 else "Open the kitchen"
        st.button(label, type="primary", icon=":material/play_arrow:", disabled=not ready, key=OPENS)
        return
    with st.container(horizontal=True, width="content"):
        if st.button("Stop", icon=":material/stop:", help="Accepts no more orders and cancels the rest."):
            for run in open_runs:
                engine.stop(run)
        if len(open_runs) == 1:
            _change(engine, open_runs[0], wish)


def _change(engine: EngineClient, run: str, wish: Wish) -> None:
    """What can be changed while a kitchen is open, besides the link: its slider is on the pass."""
    deployment = wish.scenarios[0].deployment
    if deployment.kind != engine.kind(run):
        says = "Orders on plates are finished first; then the same workers, weights in place, change roles."
        if st.button("Change over now", icon=":material/swap_horiz:", help=says):
            engine.change_deployment(run, deployment)
    if wish.own and st.button("Serve your order now", icon=":material/add:"):
        engine.add(run, wish.own)


def _follow_link(engine: EngineClient, link: LinkSpec) -> None:
    """The slider above acts on the runs on show, like the one on the pass."""
    before, st.session_state["road"] = st.session_state.get("road"), link
    if before not in (None, link):
        for run in _runs():
            if not engine.over(run):
                engine.change_link(run, link)


def _take_belt(rate: float | None) -> None:
    """The slider on the pass was moved: the next run starts with that rate, and this page's address has it."""
    st.session_state["road"] = None  # the run has the exact rate already
    st.session_state["link"] = min(LINKS[:-1], key=lambda step: abs(step - rate)) if rate else LINKS[-1]


def _open(engine: EngineClient, wish: Wish) -> None:
    prompts = (wish.own,) if wish.own else ()
    try:
        st.session_state["runs"] = engine.start_all(wish.scenarios, prompts, by=learner())
    except BadInput as wrong:
        st.session_state["runs"] = []
        st.error(str(wrong))
        return
    st.session_state["opened"] = None
    _note(engine)


def _state(engine: EngineClient) -> tuple[object, ...]:
    """The state of the engine and of the runs on show, as far as the page depends on it."""
    return (engine.state, *((engine.over(run), engine.kind(run)) for run in _runs()))


def _note(engine: EngineClient) -> None:
    """Remember the state that the page is drawn for."""
    st.session_state["state"] = _state(engine)


def _status(engine: EngineClient) -> None:
    """What the engine is doing. Reruns the page if its state has changed since it was drawn."""
    if st.session_state.get("state") != _state(engine):
        st.rerun()
    st.caption(_says(engine))
    for run in _runs():
        if (known := engine.run(run)) and known.declined:
            st.warning(known.declined)


def _says(engine: EngineClient) -> str:
    match engine.state:
        case "broken":
            return f":material/error: The engine can't run here: {engine.why}"
        case "ready":
            waiting = [words for run in _runs() if (words := engine.queue_words(run))]
            if waiting:
                return f":material/hourglass_empty: Waiting for the engine: {waiting[0]}"
            below = "" if _runs() else " Until you open a kitchen, a recording plays."
            return f":material/check_circle: The engine is ready: {_engine(engine)}.{below}"
        case _:
            return ":material/local_fire_department: The engine is warming up (a minute at the very first start)."


def _engine(engine: EngineClient) -> str:
    about, settings = engine.about, engine.settings
    return f"{settings.model.path} in {about.dtype}, {settings.workers} workers on {about.machine}" if about else ""


# ---- the scene


def _show(engine: EngineClient, wish: Wish, scale: Scale) -> None:
    """The session's runs; without any, opened recordings or the recorded run of each chosen kitchen."""
    own = [(run, spec) for run in _runs() if (spec := live(engine.run(run), own=True))]
    specs = [spec | {"ruler": _ruler(engine, run, scale)} for run, spec in own]
    if not specs:
        opened: list[Log] | None = st.session_state.get("opened")
        logs = opened or [recorded(scenario.deployment.kind) for scenario in wish.scenarios]
        shown = zip(titles(logs), logs, strict=True)
        specs = [_replayed(title, log) | {"ruler": _marks(log, scale)} for title, log in shown]
    can = ["link", "cancel", "kill"] if _runs() else []
    scene({"kitchens": specs, "can": can})


def _ruler(engine: EngineClient, run: str, scale: Scale) -> list[dict[str, Any]]:
    """The ruler's marks from this run's pace; empty until it is known."""
    log = engine.log(run)
    return _marks(log, scale) if log and log.events else []


@st.cache_data(max_entries=32, hash_funcs={Log: lambda log: (len(log.events), log.events[-1].t, log.scenario)})
def _marks(log: Log, scale: Scale) -> list[dict[str, Any]]:
    return marks(log, scale)


@st.cache_data(max_entries=8, hash_funcs=BY_RUN)
def _replayed(title: str, log: Log) -> dict[str, Any]:
    return replayed(title, log)


# ---- results


def _results(engine: EngineClient) -> None:
    if not _runs() and (opened := st.session_state.get("opened")):
        show_numbers(opened)
        return
    logs = [log for run in _runs() if engine.over(run) and (log := engine.log(run))]
    refused = [known.refused for run in _runs() if (known := engine.run(run)) and known.refused]
    for sentence in refused:
        st.error(sentence)
    if refused or not logs or len(logs) < len(_runs()) or not all(log.events for log in logs):
        return
    st.subheader("What was measured", anchor=False)
    st.table(results_table(logs), border="horizontal")
    st.plotly_chart(gaps_figure(logs), key="gaps", alt=gaps_alt(logs))
    st.caption(
        f"One run of {_engine(engine)}. The workers are processes that share one machine's memory bandwidth and stand "
        "in for GPUs: shapes carry over, numbers do not. Another run differs by a few percent."
    )
    for log in logs:
        if words := disturbance(log.events):
            st.warning(f"{TITLES[log.scenario.deployment.kind]}. {words}", icon=":material/warning:")
    with st.container(horizontal=True):
        for log in logs:
            kind = log.scenario.deployment.kind
            download(f"Log: {TITLES[kind]}", f"{kind}.jsonl", dump(log))
        download("As one HTML page", "kitchen.html", _as_page(logs))


@st.cache_data(max_entries=8, hash_funcs=BY_RUN)
def _as_page(logs: list[Log]) -> str:
    kitchens = [
        kitchen(motions(log.events), TITLES[log.scenario.deployment.kind], id=f"k{n}", note=log.machine)
        for n, log in enumerate(logs)
    ]
    return export_kitchens(kitchens, "Split Kitchen: " + " and ".join(k["title"] for k in kitchens))
