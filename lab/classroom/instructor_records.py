"""The instructor's page, what is kept of a class: who is in it, export, and the end of it all."""

import streamlit as st

from lab.classroom.service import forget_runs, rooms
from lab.classroom.store import Room
from lab.classroom.tally import as_csv, as_jsonl
from lab.classroom.view import attempt, follow_quietly
from lab.ui.downloads import take_home
from lab.ui.formatting import plain
from lab.ui.learner import learner


def keep(room: Room) -> None:
    st.subheader("Votes and members", anchor=False)
    _members(room)
    with st.container(horizontal=True):
        if st.button("Export", icon=":material/download:"):
            _export(room)
        if st.button("Reset", icon=":material/restart_alt:"):
            _confirm(room, "reset")
        if st.button("Delete all", icon=":material/delete:"):
            _confirm(room, "delete")


@st.fragment
def _members(room: Room) -> None:
    """Drawn anew when somebody comes or goes. The list stays as open as it was, so its label stays the same."""
    follow_quietly(room, "members")
    members = rooms().members(room.code, learner())
    here = sum(here for *_, here in members)
    st.markdown(f"{here} here, {len(members) - here} left")
    with st.expander("Who they are"):
        for number, nickname, here in members:
            st.markdown(f"{number}. {plain(nickname) or '(no nickname)'}{'' if here else ' · left'}")
        if not members:
            st.markdown("Nobody yet.")


@st.dialog("Export the votes")
def _export(room: Room) -> None:
    """As of now: more may come while a class votes."""
    ballots = rooms().ballots(room.code, learner())
    st.markdown(f"**{len(ballots)}** so far, in the order in which they were cast, one to a line.")
    with st.container(horizontal=True):
        take_home("For a spreadsheet (CSV)", f"class-{room.code}.csv", as_csv(ballots))
        take_home("For a program (JSONL)", f"class-{room.code}.jsonl", as_jsonl(ballots))


@st.dialog("Are you sure?")
def _confirm(room: Room, what: str) -> None:
    said = {
        "reset": "All votes and questions of this class are gone for good. Members stay.",
        "delete": "The class, its members and its votes are gone for good.",
    }
    st.markdown(f"{said[what]} Learners' own books keep their own guesses.")
    if st.button("Yes, do it", type="primary"):
        act = rooms().reset if what == "reset" else rooms().delete
        forget_runs(room)
        attempt(lambda: act(room.code, learner()))
