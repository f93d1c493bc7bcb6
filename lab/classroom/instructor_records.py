"""The instructor's page, a class's records: its members, export, reset and deletion."""

import streamlit as st

from lab.classroom.service import Classroom
from lab.classroom.store import Room
from lab.classroom.tally import as_csv, as_jsonl
from lab.classroom.view import attempt, follow_quietly
from lab.ui.downloads import download
from lab.ui.formatting import plain
from lab.ui.learner import learner


def keep(classroom: Classroom, room: Room) -> None:
    st.subheader("Votes and members", anchor=False)
    _members(classroom, room)
    with st.container(horizontal=True):
        if st.button("Export", icon=":material/download:"):
            _export(classroom, room)
        if st.button("Reset", icon=":material/restart_alt:"):
            _confirm(classroom, room, "reset")
        if st.button("Delete all", icon=":material/delete:"):
            _confirm(classroom, room, "delete")


@st.fragment
def _members(classroom: Classroom, room: Room) -> None:
    """Reruns when somebody comes or goes. The list's label never changes, so that an open list stays open."""
    follow_quietly(classroom, room, "members")
    members = classroom.actions.members(room.code, learner())
    here = sum(here for *_, here in members)
    st.markdown(f"{here} here, {len(members) - here} left")
    with st.expander("Who they are"):
        for number, nickname, here in members:
            st.markdown(f"{number}. {plain(nickname) or '(no nickname)'}{'' if here else ' · left'}")
        if not members:
            st.markdown("Nobody yet.")


@st.dialog("Export the votes")
def _export(classroom: Classroom, room: Room) -> None:
    """The votes so far: more may come while the class votes."""
    ballots = classroom.actions.ballots(room.code, learner())
    st.markdown(f"**{len(ballots)}** so far, in the order cast, one per line.")
    with st.container(horizontal=True):
        download("For a spreadsheet (CSV)", f"class-{room.code}.csv", as_csv(ballots))
        download("For a program (JSONL)", f"class-{room.code}.jsonl", as_jsonl(ballots))


@st.dialog("Are you sure?")
def _confirm(classroom: Classroom, room: Room, what: str) -> None:
    said = {
        "reset": "All votes and questions of this class are deleted for good. Members stay.",
        "delete": "The class, its members and its votes are deleted for good.",
    }
    st.markdown(f"{said[what]} Learners' own books keep their own guesses.")
    if st.button("Yes, do it", type="primary"):
        act = classroom.actions.reset if what == "reset" else classroom.actions.delete
        classroom.forget_runs(room)
        attempt(lambda: act(room.code, learner()))
