"""Offers as people see them: a learner's button beside the own run, the instructor's list, the kitchen on the wall."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.scenario import Scenario
from engine.units import in_words
from lab.classroom.offers import RUNS, Offer
from lab.classroom.service import offers, rooms
from lab.classroom.store import Room
from lab.classroom.view import attempt, follow_quietly
from lab.runs.engine_client import ENGINE_ROOM
from lab.runs.live_scene import live
from lab.runs.run_feed import Run
from lab.scene.component import scene
from lab.scene.recordings import replayed
from lab.scene.words import TITLES
from lab.ui.formatting import plain
from lab.ui.learner import learner


def what(scenarios: Sequence[Scenario]) -> str:
    """Kitchens side by side, on the same orders, in one line."""
    return " beside ".join(TITLES[one.deployment.kind] for one in scenarios) + " · " + conditions(scenarios)


def conditions(scenarios: Sequence[Scenario]) -> str:
    """The road between their stations, and the orders."""
    load = scenarios[0].workload
    links = {one.link.bandwidth_bytes_per_s for one in scenarios if one.deployment.kind == "disaggregated"}
    road = "".join(f"{in_words(link, 'B/s') if link else 'unpaced'} · " for link in links)
    long = f", every {load.long_every}th of {load.long_prompt_tokens:,}" if load.long_every else ""
    orders = f"{load.requests} order{'s' if load.requests > 1 else ''} of {load.prompt_tokens:,} tokens{long}"
    return f"{road}{orders}"


def _runs(offer: Offer) -> list[Run]:
    return [known for run in offer.runs if (known := ENGINE_ROOM.hub.runs.get(run))]


# ---- the learner's


def offer_own(runs: Sequence[str]) -> None:
    """Beside one's own `runs`, or without any only to take back what is offered; nothing outside of a class. The page
    has the class's pulse, and with it is drawn anew when the instructor answers."""
    room = rooms().room_of(learner())
    if room is not None and (runs or offers().own(learner())):
        _own(room.code, tuple(runs[:RUNS]))


@st.fragment
def _own(code: str, runs: tuple[str, ...]) -> None:
    mine = offers().own(learner())
    with st.container(horizontal=True, vertical_alignment="center", key="offer"):
        if mine is not None:
            st.markdown(_answer(mine), width="content")
            label, icon = ("All right", ":material/check:") if mine.declined else ("Take it back", ":material/undo:")
            if st.button(label, icon=icon):
                attempt(lambda: offers().take_back(learner()))
        if runs and (mine is None or mine.runs != runs):
            name = rooms().nickname(code, learner())
            named = bool(name) and st.checkbox(f"with my nickname, {plain(name)}", key="offer named")
            label = "Offer to the projector" if mine is None else "Offer this one instead"
            if st.button(label, icon=":material/cast:"):
                attempt(lambda: offers().offer(learner(), runs, named=named))
            st.caption("The class sees it only if the instructor puts it up; you can take it back at any moment.")


def _answer(mine: Offer) -> str:
    """The instructor's."""
    if mine.declined:
        return ":material/cast: The instructor does not show the run that you offered; nobody else is told."
    if mine.up:
        return ":material/cast: **A run of yours is on the projector.**"
    return ":material/cast: A run of yours is offered to the projector."


# ---- the instructor's


@st.fragment
def offered(room: Room) -> None:
    """What learners offer, and what of it is on the wall; drawn anew when that changes."""
    follow_quietly(room, "offers")
    every = offers().of(room.code, learner())
    if not every:
        return
    st.subheader("Offered for the projector", anchor=False)
    for offer in every:
        _row(room.code, offer)


def _row(code: str, offer: Offer) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        who = f"{offer.number}. {plain(offer.nickname) or '(no nickname)'}"
        st.markdown(
            f"**{who}** · {plain(what([run.scenario for run in _runs(offer)]))}{_words(offer)}", width="stretch"
        )
        if offer.up:
            if st.button("Take down", key=f"down {offer.number}", icon=":material/cancel_presentation:"):
                attempt(lambda: offers().take_down(code, learner()))
            return
        if st.button("Put on the projector", key=f"up {offer.number}", icon=":material/cast:"):
            attempt(lambda: offers().put_up(code, learner(), offer.number))
        if st.button("Decline", key=f"no {offer.number}", icon=":material/close:", help="Its learner is told, kindly."):
            attempt(lambda: offers().decline(code, learner(), offer.number))


def _words(offer: Offer) -> str:
    """What the learner wrote: whoever shows it to a class should have read it."""
    said = dict.fromkeys(words for run in _runs(offer) for words in run.words)
    return "".join(f" · in their own words: “{plain(' '.join(words.split()))}”" for words in said)


# ---- the wall's


def show(offer: Offer) -> None:
    """Live while it runs; one that is over is replayed from its start. Each kitchen has its name above it."""
    st.caption(f"A run of the class, offered by {plain(offer.by)}")
    st.title(conditions([run.scenario for run in _runs(offer)]), anchor=False)
    scene({"kitchens": [_spec(run) for run in _runs(offer)], "can": []})


def _spec(run: Run) -> dict[str, Any] | None:
    log = ENGINE_ROOM.log(run.id)
    if log is None or not run.over:
        return live(run.id)
    return replayed(TITLES[log.scenario.deployment.kind], log)
