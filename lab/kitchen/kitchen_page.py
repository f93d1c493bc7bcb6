"""The kitchen, for free play: choose, open it on the real engine, watch, change the link while trays are on it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from engine.errors import BadInput
from engine.link import LinkSpec
from engine.log import Log
from engine.vllm.translate import MOMENTS
from lab.kitchen.controls import Wish, choose_kinds, choose_scenarios
from lab.kitchen.link_scale import Scale, choose_scale, marks
from lab.kitchen.open_recordings import choose_recordings
from lab.kitchen.results import BY_RUN, show_results
from lab.kitchen.settings import described, differences, values
from lab.runs.ceiling import fastest_of
from lab.runs.engine_client import EngineClient
from lab.runs.live_scene import live
from lab.scene.choices import FIRST_SEEN, played, ranges
from lab.scene.component import scene
from lab.scene.recordings import recorded, replayed
from lab.scene.words import HEADING, intro, introduced, titles
from lab.ui.learner import learner
from lab.ui.session import runs_on_show, widget_changed
from lab.ui.style import style

WORKING_S, IDLE_S = 1.0, 10.0  # between two looks at the engine's state; each costs the page a frame or two
ONE_ROW = """
.stMainBlockContainer h1 { font-size: 1.5rem; }
.st-key-controls { row-gap: 8px; margin-top: 4px; }
:is(.st-key-settings, .st-key-set, .st-key-controls) [data-testid=stMarkdownContainer] { margin: 0; }
:is(.st-key-settings, .st-key-set, .st-key-controls) p { margin: 0; }
:is(.st-key-settings, .st-key-set) p { font-size: 14px; }
@media (max-width: 640px) { /* what moves comes first, with what keeps it from being misread */
  .stVerticalBlock > :has(> .st-key-set) { order: 1; }
  .stVerticalBlock > :has(> .st-key-below) { order: 2; }
}
.st-key-orders-and-link { max-width: 420px; }
"""
KEEPS_ROLES = "vLLM's servers keep their roles, and none of them can be killed here: starting again takes a minute."
OPENS, RESETS = "open the kitchen", "as shown"  # keys of buttons in the session


def page(engine: EngineClient, offer_own: Callable[[Sequence[str]], None]) -> None:
    """`offer_own` draws the button that offers one's own runs to a class."""
    style(ONE_ROW)
    st.session_state["runs"] = [run for run in _runs() if engine.run(run)]  # the lab forgets the oldest
    _note(engine)
    st.title(HEADING, anchor=False)
    if st.session_state.get(RESETS):
        steps = ranges(engine.settings.model.device)
        st.session_state.update(steps.nearest(values(_shown(engine)[0].scenario)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="controls"):
        kinds = choose_kinds()
        more = st.popover("Orders and link", icon=":material/tune:")
        opening = st.container(width="content")  # filled last: it depends on choices further down
    belt = dict(st.session_state.get("scene") or {})
    with widget_changed("belt", belt) as moved:
        if moved and belt:
            _take_belt(engine, belt["link"])
        wish = choose_scenarios(kinds, more, engine.settings, partial(_ceiling, engine))
    with more:
        scale = choose_scale()
    with opening:
        _buttons(engine, wish)
    _follow_link(engine, wish.scenarios[0].link)
    st.session_state["kinds"] = kinds
    logs = _shown(engine)
    with st.container():  # with or without a sentence in it: what follows keeps its place and is not made again
        _mismatch(engine, wish, logs)
    with st.container(gap=None, key="set"):
        st.markdown(f"**Set:** {described(wish.scenarios)}.")
        idle = engine.state == "ready" and all(map(engine.over, _runs()))
        st.fragment(_status, run_every=IDLE_S if idle else WORKING_S)(engine)
    _show(engine, logs, scale)
    with st.container(key="below"):
        with st.container():  # the same, with or without results
            offer_own(_runs())
            _results(engine, logs)
        if choose_recordings():
            st.session_state["runs"] = []
            st.rerun()


# ---- what is shown


def _runs() -> list[str]:
    return runs_on_show("runs")


def _shown(engine: EngineClient) -> list[Log]:
    """The runs on show as far as they have come; before there are any, opened recordings, or those that ship."""
    if runs := [log for run in _runs() if (log := engine.log(run))]:
        return runs
    kinds: list[str] = st.session_state.get("kinds", list(FIRST_SEEN))
    return st.session_state.get("opened") or [recorded(kind) for kind in kinds]


def _mismatch(engine: EngineClient, wish: Wish, logs: Sequence[Log]) -> None:
    """Plainly, if what is shown does not follow the settings, and how it comes to."""
    running = any(not engine.over(run) for run in _runs())
    if st.session_state.get("opened") and not _runs():
        says, way_back = "Shown are the recordings that you opened. The settings are for the next run.", False
    elif other := differences([log.scenario for log in logs], wish.scenarios, follows_link=running):
        shown = "The run on show" if _runs() else "The recording on show"
        says, way_back = f"{shown} does not follow your settings: open the kitchen for **{other}**.", True
    else:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="settings"):
        st.markdown(f":orange[:material/info:] {says}", width="stretch")
        if way_back:
            st.button("Set as shown", key=RESETS, icon=":material/undo:")


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
    if engine.settings.vllm_python:
        st.caption(KEEPS_ROLES)
    elif deployment.kind != engine.kind(run):
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


def _take_belt(engine: EngineClient, rate: float | None) -> None:
    """The slider on the pass was moved: the next run starts with that rate, and this page's address has it."""
    st.session_state["road"] = None  # the run has the exact rate already
    st.session_state.update(ranges(engine.settings.model.device).nearest({"link": rate or 0.0}))


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
        case "ready" if starting := [
            known.starting for run in _runs() if (known := engine.run(run)) and known.starting
        ]:
            return f":material/local_fire_department: {starting[0]}"
        case "ready":
            waiting = [words for run in _runs() if (words := engine.queue_words(run))]
            if waiting:
                return f":material/hourglass_empty: Waiting for the engine: {waiting[0]}"
            return f":material/check_circle: The engine is ready: {_engine(engine)}."
        case _:
            return ":material/local_fire_department: The engine is warming up (a minute at the very first start)."


def _engine(engine: EngineClient) -> str:
    about, settings = engine.about, engine.settings
    return f"{settings.model.path} in {about.dtype}, {settings.workers} workers on {about.machine}" if about else ""


# ---- the scene


def _show(engine: EngineClient, logs: Sequence[Log], scale: Scale) -> None:
    """The session's runs, else the recordings on show."""
    own = [(run, spec) for run in _runs() if (spec := live(engine.run(run), own=True))]
    specs = [spec | {"ruler": _ruler(engine, run, scale)} for run, spec in own]
    if not specs:
        shown = zip(titles(logs), logs, strict=True)
        specs = [_replayed(title, log) | {"ruler": _marks(log, scale)} for title, log in shown]
    can = [*(["link"] if not engine.settings.unpaced_because else []), "cancel"] if _runs() else []
    can += ["kill"] if can and not engine.settings.vllm_python else []
    first = logs[0].scenario
    ceiling = _ceiling(engine, first.deployment.transport) if _runs() else None
    belt = {**played(first.model.device), "ceiling": ceiling}
    scene({"kitchens": specs, "can": can, "intro": _intro(engine, logs[0]), **belt})


def _ceiling(engine: EngineClient, transport: str) -> float | None:
    """What the road has carried in this lab so far, in bytes/s. A recording's was another machine's."""
    return fastest_of((run.carried for run in engine.feed.finished()), transport)


def _intro(engine: EngineClient, log: Log) -> str:
    about = engine.about
    if not (_runs() and about):
        return intro(log)
    inside = f" What you see comes from inside vLLM. {MOMENTS}" if engine.settings.vllm_python else ""
    return introduced(engine.settings.model.path, about.machine) + inside


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


def _results(engine: EngineClient, logs: Sequence[Log]) -> None:
    """As soon as all that is shown is over, in the scene's order."""
    refused = [known.refused for run in _runs() if (known := engine.run(run)) and known.refused]
    for sentence in refused:
        st.error(sentence)
    if refused or not all(map(engine.over, _runs())) or not all(log.events for log in logs):
        return
    first_seen = not _runs() and not st.session_state.get("opened")  # the page then opens sooner without a chart
    show_results(logs, "What was measured" if _runs() else "What was recorded", gaps=not first_seen)
