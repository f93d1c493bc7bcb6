"""Offers on Streamlit's pages: a learner's button beside a run, and the instructor's list."""

from collections.abc import Sequence

import streamlit as st

from lab.classroom.offers import RUNS, Offer, what
from lab.classroom.service import Classroom
from lab.classroom.store import Room
from lab.classroom.view import attempt, follow_quietly
from lab.runs.run_feed import Run
from lab.ui.formatting import plain
from lab.ui.learner import learner


def _runs(classroom: Classroom, offer: Offer) -> list[Run]:
    return [known for run in offer.runs if (known := classroom.engine.run(run))]


# ---- the learner's


def offer_own(classroom: Classroom, runs: Sequence[str]) -> None:
    """Offer one's own `runs`, or take an offer back; without runs only the latter. Nothing outside of a class. Belongs
    on a page that follows the class, which reruns when the instructor answers."""
    room = classroom.actions.room_of(learner())
    if room is not None and (runs or classroom.offers.own(learner())):
        _own(classroom, room.code, tuple(runs[:RUNS]))


@st.fragment
def _own(classroom: Classroom, code: str, runs: tuple[str, ...]) -> None:
    offers = classroom.offers
    mine = offers.own(learner())
    with st.container(horizontal=True, vertical_alignment="center", key="offer"):
        if mine is not None:
            st.markdown(_answer(mine), width="content")
            label, icon = ("All right", ":material/check:") if mine.declined else ("Take it back", ":material/undo:")
            if st.button(label, icon=icon):
                attempt(lambda: offers.take_back(learner()))
        if runs and (mine is None or mine.runs != runs):
            name = classroom.actions.nickname(code, learner())
            named = bool(name) and st.checkbox(f"with my nickname, {plain(name)}", key="offer named")
            label = "Offer to the projector" if mine is None else "Offer this one instead"
            if st.button(label, icon=":material/cast:"):
                attempt(lambda: offers.offer(learner(), runs, named=named))
            st.caption("The class sees it only if the instructor puts it up; you can take it back at any time.")


def _answer(mine: Offer) -> str:
    """The instructor's answer."""
    if mine.declined:
        return ":material/cast: The instructor does not show the run that you offered. Nobody else is told."
    if mine.up:
        return ":material/cast: **A run of yours is on the projector.**"
    return ":material/cast: A run of yours is offered to the projector."


# ---- the instructor's


@st.fragment
def offered(classroom: Classroom, room: Room) -> None:
    """What learners offer, and which of it is on the projector; reruns when that changes."""
    follow_quietly(classroom, room, "offers")
    every = classroom.offers.of(room.code, learner())
    if not every:
        return
    st.subheader("Offered for the projector", anchor=False)
    for offer in every:
        _row(classroom, room.code, offer)


def _row(classroom: Classroom, code: str, offer: Offer) -> None:
    offers = classroom.offers
    with st.container(horizontal=True, vertical_alignment="center"):
        who = f"{offer.number}. {plain(offer.nickname) or '(no nickname)'}"
        runs = _runs(classroom, offer)
        st.markdown(f"**{who}** · {plain(what([run.scenario for run in runs]))}{_words(runs)}", width="stretch")
        if offer.up:
            if st.button("Take down", key=f"down {offer.number}", icon=":material/cancel_presentation:"):
                attempt(lambda: offers.take_down(code, learner()))
            return
        if st.button("Put on the projector", key=f"up {offer.number}", icon=":material/cast:"):
            attempt(lambda: offers.put_up(code, learner(), offer.number))
        if st.button(
            "Decline", key=f"no {offer.number}", icon=":material/close:", help="Its learner is told; nobody else is."
        ):
            attempt(lambda: offers.decline(code, learner(), offer.number))


def _words(runs: Sequence[Run]) -> str:
    """The learner's own prompts: the instructor should read them before the class does."""
    said = dict.fromkeys(words for run in runs for words in run.words)
    return "".join(f" · in their own words: “{plain(' '.join(words.split()))}”" for words in said)
