"""The instructor's page, a class's records: its members, export, reset and deletion."""

from collections import Counter
from functools import partial

import streamlit as st

from lab.classroom.service import Classroom
from lab.classroom.store import Room
from lab.classroom.tally import as_csv, as_jsonl
from lab.classroom.view import attempt, follow_quietly
from lab.ui.downloads import download
from lab.ui.formatting import plain
from lab.ui.learner import learner

ASKED = "class to reset or delete"  # in the session: which act waits for its confirmation


def keep(classroom: Classroom, room: Room) -> None:
    """Members and votes, their export, and how they are deleted."""
    st.subheader("Votes and members", anchor=False)
    _members(classroom, room)
    with st.container(horizontal=True):
        if st.button("Export", icon=":material/download:"):
            _export(classroom, room)
        for label, icon in (("Reset", ":material/restart_alt:"), ("Delete all", ":material/delete:")):
            if st.button(label, icon=icon):
                st.session_state[ASKED] = label
    if asked := st.session_state.get(ASKED):
        _confirm(classroom, room, asked)


@st.fragment
def _members(classroom: Classroom, room: Room) -> None:
    """Reruns when somebody comes or goes. The list's label never changes, so that an open list stays open."""
    follow_quietly(classroom, room, "members")
    members = classroom.roster(room, learner())
    count = Counter(where for *_, where in members)
    st.markdown(", ".join(f"{count[where]} {where}" for where in ("here", "away", "left")))
    with st.expander("Who they are"):
        for number, nickname, where in members:
            with st.container(horizontal=True, vertical_alignment="center"):
                shown = "" if where == "here" else f" · {where}"
                st.markdown(f"{number}. {plain(nickname) or '(no nickname)'}{shown}", width="content")
                if where != "left" and st.button(f"Remove {number}", key=f"remove {number}", type="tertiary"):
                    attempt(partial(classroom.actions.remove, room.code, learner(), number))
        if not members:
            st.markdown("Nobody yet.")
        st.caption("Who is removed keeps their votes in the counts, and can join again with the code.")


@st.dialog("Export the votes")
def _export(classroom: Classroom, room: Room) -> None:
    """The votes so far: more may come while the class votes."""
    ballots = classroom.actions.ballots(room.code, learner())
    st.markdown(f"**{len(ballots)}** so far, in the order cast, one per line.")
    with st.container(horizontal=True):
        download("For a spreadsheet (CSV)", f"class-{room.code}.csv", as_csv(ballots))
        download("For a program (JSONL)", f"class-{room.code}.jsonl", as_jsonl(ballots))


def _confirm(classroom: Classroom, room: Room, asked: str) -> None:
    """On the page, not in a dialog: whatever the class does meanwhile would close that."""
    says, does, act = {
        "Reset": (
            "All votes, questions and offers of this class are deleted for good. Members stay.",
            "Delete all votes",
            classroom.actions.reset,
        ),
        "Delete all": (
            "The class, its members and its votes are deleted for good.",
            f"Delete class {room.code}",
            classroom.actions.delete,
        ),
    }[asked]
    with st.container(border=True, key="confirm"):
        st.markdown(f"{says} Learners' own books keep their own guesses.")
        with st.container(horizontal=True):
            if st.button(does, type="primary", icon=":material/warning:"):
                st.session_state.pop(ASKED)
                classroom.forget_runs(room)
                attempt(lambda: act(room.code, learner()))
            if st.button("Keep everything"):
                st.session_state.pop(ASKED)
                st.rerun()
