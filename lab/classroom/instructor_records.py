"""The instructor's page, a class's records: its members, export, reset and deletion."""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

import streamlit as st

from lab.classroom.service import Classroom
from lab.classroom.store import Room
from lab.classroom.tally import as_csv, as_jsonl
from lab.classroom.view import attempt, follow_quietly
from lab.ui.downloads import download
from lab.ui.formatting import plain
from lab.ui.learner import learner

LONG, LIST_PX = 12, 320  # from so many members on, the list scrolls in itself
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
        _roster(members)
        _remove(classroom, room, {number for number, _, where in members if where != "left"})


def _roster(members: Sequence[tuple[int, str, str]]) -> None:
    """One text: a row of its own with a button for each of five hundred takes the lab longer than all their votes."""
    if not members:
        st.markdown("Nobody yet.")
        return
    with st.container(height=LIST_PX if len(members) > LONG else "content"):
        st.markdown(
            "\n".join(
                f"{number}. {plain(nickname) or '(no nickname)'}" + ("" if where == "here" else f" · {where}")
                for number, nickname, where in members
            )
        )


def _remove(classroom: Classroom, room: Room, joined: Collection[int]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input("Remove number", 1, value=None, step=1, width=160, key=f"{room.code} to remove")
        label = "Remove" if number is None else f"Remove {number}"
        if st.button(label, type="tertiary", disabled=number not in joined) and number is not None:
            attempt(partial(classroom.actions.remove, room.code, learner(), number))
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
