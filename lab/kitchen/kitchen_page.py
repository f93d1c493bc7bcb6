"""The kitchen, free to play with: choose, open it on the real engine, watch, change the link while trays are on it."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.errors import BadInput
from engine.link import LinkSpec
from engine.log import Log
from lab.classroom.offer_view import offer_own
from lab.kitchen.controls import Wish, choose_kinds, choose_scenarios
from lab.kitchen.link_scale import Scale, choose_scale, marks
from lab.kitchen.open_recordings import choose_recordings
from lab.kitchen.results import BY_RUN, show_results
from lab.kitchen.settings import described, differences, values
from lab.runs.engine_client import ENGINE_ROOM, MODEL, WORKERS
from lab.runs.live_scene import live
from lab.scene.choices import FIRST_SEEN, LINKS
from lab.scene.component import scene
from lab.scene.recordings import recorded, replayed
from lab.scene.words import HEADING, intro, introduced, titles
from lab.ui.learner import learner
from lab.ui.style import look
from lab.ui.widget_changed import newly

WORKING_S, IDLE_S = 1.0, 10.0  # between two looks at what the engine is doing; each costs the page a frame or two
ONE_ROW = """
.stMainBlockContainer h1 { font-size: 1.5rem; }
.st-key-controls { row-gap: 8px; }
.st-key-settings p, .st-key-set p { margin: 0; font-size: 14px; }
@media (max-width: 640px) { /* what moves comes first, with what keeps it from being misread */
  .stVerticalBlock > :has(> .st-key-set) { order: 1; }
  .stVerticalBlock > :has(> .st-key-below) { order: 2; }
}
.st-key-orders-and-link { max-width: 420px; }
"""
OPENS, RESETS = "open the kitchen", "as shown"  # buttons' names in the session


def page() -> None:
    look(ONE_ROW)
    _note()
    st.title(HEADING, anchor=False)
    if st.session_state.get(RESETS):
        st.session_state.update(values(_shown()[0].scenario))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="controls"):
        kinds = choose_kinds()
        more = st.popover("Orders and link", icon=":material/tune:")
        opening = st.container(width="content")  # filled last: what it opens is chosen further down
    belt = dict(st.session_state.get("scene") or {})
    with newly("belt", belt) as moved:
        if moved and belt:
            _take_belt(belt["link"])
        wish = choose_scenarios(kinds, more)
    with more:
        scale = choose_scale()
    with opening:
        _buttons(wish)
    _follow_link(wish.scenarios[0].link)
    st.session_state["kinds"] = kinds
    logs = _shown()
    _mismatch(wish, logs)
    with st.container(gap=None, key="set"):
        st.markdown(f"**Set:** {described(wish.scenarios)}.")
        idle = ENGINE_ROOM.state == "ready" and all(map(_over, _runs()))
        st.fragment(_status, run_every=IDLE_S if idle else WORKING_S)()
    _show(logs, scale)
    with st.container(key="below"):
        with st.container():  # one place, results or none: what comes after keeps its own and is not made anew each run
            offer_own(_runs())
            _results(logs)
        if choose_recordings():
            st.session_state["runs"] = []
            st.rerun()


# ---- what is shown


def _runs() -> list[str]:
    """The runs on show, in order; their ids are the session's only state."""
    runs: list[str] = st.session_state.setdefault("runs", [])
    return runs


def _shown() -> list[Log]:
    """The runs on show as far as they have come; before there are any, opened recordings, or those that ship."""
    if runs := [log for run in _runs() if (log := ENGINE_ROOM.log(run))]:
        return runs
    kinds: list[str] = st.session_state.get("kinds", list(FIRST_SEEN))
    return st.session_state.get("opened") or [recorded(kind) for kind in kinds]


def _mismatch(wish: Wish, logs: Sequence[Log]) -> None:
    """Plainly, if what is shown does not follow the settings, and how it comes to."""
    running = any(not _over(run) for run in _runs())
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


def _buttons(wish: Wish) -> None:
    ready = ENGINE_ROOM.state == "ready"
    if st.session_state.get(OPENS) and ready and all(map(_over, _runs())):
        _open(wish)  # before its button is drawn, so that the page is drawn once
    open_runs = [run for run in _runs() if not _over(run)]
    if not open_runs:
        label = "Open the kitchens" if len(wish.scenarios) > 1 else "Open the kitchen"
        st.button(label, type="primary", icon=":material/play_arrow:", disabled=not ready, key=OPENS)
        return
    with st.container(horizontal=True, width="content"):
        if st.button("Stop", icon=":material/stop:", help="Takes no more orders and cancels the rest."):
            for run in open_runs:
                ENGINE_ROOM.stop(run)
        if len(open_runs) == 1:
            _change(open_runs[0], wish)


def _change(run: str, wish: Wish) -> None:
    """What can be changed while a kitchen is open, besides the link, whose slider is on the pass."""
    deployment = wish.scenarios[0].deployment
    if deployment.kind != ENGINE_ROOM.kind(run):
        says = "Orders being plated are finished first; then the same workers, weights in place, change roles."
        if st.button("Change over now", icon=":material/swap_horiz:", help=says):
            ENGINE_ROOM.change_deployment(run, deployment)
    if wish.own and st.button("Serve your order now", icon=":material/add:"):
        ENGINE_ROOM.add(run, wish.own)


def _follow_link(link: LinkSpec) -> None:
    """The slider above acts on the runs on show, as the one on the pass does."""
    before, st.session_state["road"] = st.session_state.get("road"), link
    if before not in (None, link):
        for run in _runs():
            if not _over(run):
                ENGINE_ROOM.change_link(run, link)


def _take_belt(rate: float | None) -> None:
    """The slider on the pass was let go: the next run starts there, and so does whoever gets this page's link."""
    st.session_state["road"] = None  # the run has it already, and more finely
    st.session_state["link"] = min(LINKS[:-1], key=lambda step: abs(step - rate)) if rate else LINKS[-1]


def _open(wish: Wish) -> None:
    prompts = (wish.own,) if wish.own else ()
    try:
        st.session_state["runs"] = ENGINE_ROOM.start_all(wish.scenarios, prompts, by=learner())
    except BadInput as wrong:
        st.session_state["runs"] = []
        st.error(str(wrong))
        return
    st.session_state["opened"] = None
    _note()


def _state() -> tuple[object, ...]:
    """Of the engine and the runs on show, as far as the page depends on it."""
    return (ENGINE_ROOM.state, *((_over(run), ENGINE_ROOM.kind(run)) for run in _runs()))


def _note() -> None:
    """What is about to be drawn."""
    st.session_state["state"] = _state()


def _status() -> None:
    """What the engine is doing, and whether what this page offers has changed since it was drawn."""
    if st.session_state.get("state") != _state():
        st.rerun()
    st.caption(_says())
    for run in _runs():
        if (known := ENGINE_ROOM.hub.runs.get(run)) and known.declined:
            st.warning(known.declined)


def _says() -> str:
    match ENGINE_ROOM.state:
        case "broken":
            return f":material/error: The engine can't run here: {ENGINE_ROOM.why}"
        case "ready":
            waiting = [words for run in _runs() if (words := ENGINE_ROOM.queue_words(run))]
            if waiting:
                return f":material/hourglass_empty: In line for the engine: {waiting[0]}"
            return f":material/check_circle: The engine is ready: {_engine()}."
        case _:
            return ":material/local_fire_department: The engine is warming up (a minute at the very first start)."


def _engine() -> str:
    about = ENGINE_ROOM.about
    return f"{MODEL.path} in {about.dtype}, {WORKERS} workers on {about.machine}" if about else ""


def _over(run: str) -> bool:
    known = ENGINE_ROOM.hub.runs.get(run)
    return known is None or known.over


# ---- the scene


def _show(logs: Sequence[Log], scale: Scale) -> None:
    """The session's runs, else the recordings on show."""
    specs = [spec | {"ruler": _ruler(run, scale)} for run in _runs() if (spec := live(run, own=True))]
    if not specs:
        specs = [
            _replayed(title, log) | {"ruler": _marks(log, scale)} for title, log in zip(titles(logs), logs, strict=True)
        ]
    can = ["link", "cancel", "kill"] if _runs() else []
    scene({"kitchens": specs, "can": can, "intro": _intro(logs[0])})


def _intro(log: Log) -> str:
    about = ENGINE_ROOM.about
    return introduced(MODEL.path, about.machine) if _runs() and about else intro(log)


def _ruler(run: str, scale: Scale) -> list[dict[str, Any]]:
    """From what this run has shown of its pace; while it says nothing yet, there is no ruler."""
    log = ENGINE_ROOM.log(run)
    return _marks(log, scale) if log and log.events else []


@st.cache_data(max_entries=32, hash_funcs={Log: lambda log: (len(log.events), log.events[-1].t, log.scenario)})
def _marks(log: Log, scale: Scale) -> list[dict[str, Any]]:
    return marks(log, scale)


@st.cache_data(max_entries=8, hash_funcs=BY_RUN)
def _replayed(title: str, log: Log) -> dict[str, Any]:
    return replayed(title, log)


def _results(logs: Sequence[Log]) -> None:
    """As soon as all that is shown is over; in the scene's order."""
    refused = [known.refused for run in _runs() if (known := ENGINE_ROOM.hub.runs.get(run)) and known.refused]
    for sentence in refused:
        st.error(sentence)
    if refused or not all(map(_over, _runs())) or not all(log.events for log in logs):
        return
    first_seen = not _runs() and not st.session_state.get("opened")  # the page then opens sooner without a chart
    show_results(logs, "What was measured" if _runs() else "What was recorded", gaps=not first_seen)
