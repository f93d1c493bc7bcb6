"""The kitchen, free to play with: choose, open it on the real engine, watch, change the link while trays are on it."""

from typing import Any

import streamlit as st

from engine.disturbed import disturbance
from engine.errors import BadInput
from engine.link import LinkSpec
from engine.log import Log, dump
from lab.classroom.offer_view import offer_own
from lab.kitchen.charts import gaps_alt, gaps_figure, results_table
from lab.kitchen.controls import Wish, choose_kinds, choose_scenarios
from lab.kitchen.link_scale import Scale, choose_scale, marks
from lab.kitchen.open_recordings import choose_recordings, show_numbers
from lab.runs.engine_client import ENGINE_ROOM, MODEL, WORKERS
from lab.runs.live_scene import live
from lab.scene.choices import LINKS
from lab.scene.component import scene
from lab.scene.export_html import export_kitchens, kitchen
from lab.scene.motions import motions
from lab.scene.recordings import recorded, replayed
from lab.scene.words import TITLES, titles
from lab.ui.downloads import take_home
from lab.ui.learner import learner
from lab.ui.style import look
from lab.ui.widget_changed import newly
from lab.web.landing import INTRO

WORKING_S, IDLE_S = 1.0, 10.0  # between two looks at what the engine is doing; each costs the page a frame or two
# On a phone the kitchen comes before the sliders for the next one: what moves should be the first thing seen.
PHONE = """
@media (max-width: 640px) {
  [data-testid=stLayoutWrapper]:has(> .st-key-orders-and-link) { order: 1; }
  [data-testid=stLayoutWrapper]:has(> .st-key-below) { order: 2; }
}
"""


OPENS = "open the kitchen"  # a button's name in the session
BY_RUN: dict[str | type[Any], Any] = {  # what tells one finished run from another
    Log: lambda log: (log.recorded_at, len(log.events), log.scenario)
}


def page() -> None:
    look(PHONE)
    _note()
    st.title("Split Kitchen", anchor=False)
    st.markdown(INTRO)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kinds = choose_kinds()
        opening = st.container(width="content")  # filled last: what it opens is chosen further down
        more = st.popover("More settings", icon=":material/tune:")
    belt = dict(st.session_state.get("scene") or {})
    with newly("belt", belt) as moved:
        if moved and belt:
            _take_belt(belt["link"])
        wish = choose_scenarios(kinds, more)
    with more:
        scale = choose_scale()
    with opening:
        _buttons(wish)
    with st.container():
        idle = ENGINE_ROOM.state == "ready" and all(map(_over, _runs()))
        st.fragment(_status, run_every=IDLE_S if idle else WORKING_S)()
    _follow_link(wish.scenarios[0].link)
    _show(wish, scale)
    with st.container(key="below"):
        with st.container():  # one place, results or none: what comes after keeps its own and is not made anew each run
            offer_own(_runs())
            _results()
        if choose_recordings():
            st.session_state["runs"] = []
            st.rerun()


def _runs() -> list[str]:
    """The runs on show, in order; their ids are the session's only state."""
    runs: list[str] = st.session_state.setdefault("runs", [])
    return runs


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
            below = "" if _runs() else " Until you open a kitchen, a recording plays."
            return f":material/check_circle: The engine is ready: {_engine()}.{below}"
        case _:
            return ":material/local_fire_department: The engine is warming up (a minute at the very first start)."


def _engine() -> str:
    about = ENGINE_ROOM.about
    return f"{MODEL.path} in {about.dtype}, {WORKERS} workers on {about.machine}" if about else ""


def _over(run: str) -> bool:
    known = ENGINE_ROOM.hub.runs.get(run)
    return known is None or known.over


# ---- the scene


def _show(wish: Wish, scale: Scale) -> None:
    """The session's runs; before there are any, the recorded run of each chosen kitchen, or opened recordings."""
    specs = [spec | {"ruler": _ruler(run, scale)} for run in _runs() if (spec := live(run, own=True))]
    if not specs:
        opened: list[Log] | None = st.session_state.get("opened")
        logs = opened or [recorded(scenario.deployment.kind) for scenario in wish.scenarios]
        shown = zip(titles(logs), logs, strict=True)
        specs = [_replayed(title, log) | {"ruler": _marks(log, scale)} for title, log in shown]
    can = ["link", "cancel", "kill"] if _runs() else []
    scene({"kitchens": specs, "can": can})


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


# ---- results


def _results() -> None:
    if not _runs() and (opened := st.session_state.get("opened")):
        show_numbers(opened)
        return
    logs = [log for run in _runs() if _over(run) and (log := ENGINE_ROOM.log(run))]
    refused = [known.refused for run in _runs() if (known := ENGINE_ROOM.hub.runs.get(run)) and known.refused]
    for sentence in refused:
        st.error(sentence)
    if refused or not logs or len(logs) < len(_runs()) or not all(log.events for log in logs):
        return
    st.subheader("What was measured", anchor=False)
    st.table(results_table(logs), border="horizontal")
    st.plotly_chart(gaps_figure(logs), key="gaps", alt=gaps_alt(logs))
    st.caption(
        f"One run of {_engine()}. The workers are processes that share one machine's memory bandwidth and stand in for "
        "GPUs: shapes carry over, numbers do not. Another run differs by some percent."
    )
    for log in logs:
        if words := disturbance(log.events):
            st.warning(f"{TITLES[log.scenario.deployment.kind]}. {words}", icon=":material/warning:")
    with st.container(horizontal=True):
        for log in logs:
            kind = log.scenario.deployment.kind
            take_home(f"Log: {TITLES[kind]}", f"{kind}.jsonl", dump(log))
        take_home("As one HTML page", "kitchen.html", _as_page(logs))


@st.cache_data(max_entries=8, hash_funcs=BY_RUN)
def _as_page(logs: list[Log]) -> str:
    kitchens = [
        kitchen(motions(log.events), TITLES[log.scenario.deployment.kind], id=f"k{n}", note=log.machine)
        for n, log in enumerate(logs)
    ]
    return export_kitchens(kitchens, "Split Kitchen: " + " and ".join(k["title"] for k in kitchens))
