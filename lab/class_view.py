"""What pages of a class share: how a vote goes, the chart of its counts, and the run that everybody watches."""

import random
import time
from collections.abc import Callable
from typing import Literal

import streamlit as st

from lab.amounts import in_words, made_words
from lab.ballots import LOOK, tally_html
from lab.classroom import evidence, gathering, rooms
from lab.gather import says
from lab.room import Refusal, Room
from lab.scene import live, scene
from lessons.evidence import Made
from lessons.lesson import Lesson, Round

PAGE_S = 0.04  # of the server, to draw a page of a class


def attempt(act: Callable[[], object]) -> None:
    """What a button asks for; why not, if it can't be."""
    try:
        act()
    except Refusal as why:
        st.error(str(why))
    else:
        st.rerun()


def emphasis(usual: bool) -> Literal["primary", "secondary"]:
    """Of a button that one would usually press next, or not."""
    return "primary" if usual else "secondary"


def turnout(room: Room) -> str:
    """How many have voted, and nothing of what."""
    asked = room.question
    if asked is None:
        return f"{room.members} here"
    what = "voted" if asked.vote == 1 else "voted again"
    return f"{room.voted[asked.vote - 1]} of {room.members} have {what}"


def timer(room: Room) -> str:
    """What is left, as 1:05; "" without a timer."""
    if not room.timer_s:
        return ""
    left_s = round(room.timer_s - time.time())
    return f"{left_s // 60}:{left_s % 60:02d} left" if left_s > 0 else "time is up"


def counts(room: Room, asked: Round) -> None:
    """Of the votes that the instructor has shown; nothing before."""
    votes, at = rooms().shown(room), room.question
    if at is not None and votes:
        st.html(f"<style>{LOOK}</style>{tally_html(asked.answer, votes, at.answer)}")


def answer_words(room: Room, asked: Round) -> str:
    at = room.question
    return f"Measured: {in_words(asked.answer, at.answer.value)}" if at is not None and at.answer else ""


def how_made(made: Made | None) -> None:
    """Seeds and time of the runs behind an answer, and what is to be held against them."""
    if made is not None:
        st.caption(made_words(made))


def common_run(room: Room, lesson: Lesson, asked: Round) -> None:
    """The class's run as it happens; the same for all who look, and nobody's to command."""
    begun = gathering(room, lesson, asked)
    _progress(room, lesson, asked, begun.run if begun else "")
    if begun and begun.run and not begun.measuring and (spec := live(begun.run)):
        scene({"kitchens": [spec], "can": []})
    if begun is None and (found := evidence(room, lesson, asked)):
        how_made(found.made)


@st.fragment(run_every=1.0)
def _progress(room: Room, lesson: Lesson, asked: Round, run: str) -> None:
    begun = gathering(room, lesson, asked)
    if (begun.run if begun else "") != run:
        st.rerun()
    if begun is None:
        st.markdown(":material/check: **The engine is done.** The instructor shows the answer.")
        return
    st.progress(begun.done / begun.total, says(begun))
    if begun.stopped:
        st.warning(begun.stopped)


def follow(room: Room, find: Callable[[], Room | None], say: Callable[[Room], object], *, lead: bool = False) -> None:
    """Once a second: `say` how things stand, and the page anew whenever the class is somewhere else. A big class
    doesn't come all at once, or everybody would wait for everybody's page; who `lead`s, comes first."""

    @st.fragment(run_every=1.0)
    def look_again() -> None:
        now = find()
        if now is None or (now.pace, now.question, now.code) != (room.pace, room.question, room.code):
            looks = 0 if now is None or lead else int(random.uniform(0, now.members * PAGE_S + 0.5))
            if st.session_state.setdefault("looks left", looks) <= 0:
                st.session_state.pop("looks left")
                st.rerun()
            st.session_state["looks left"] -= 1
        say(now or room)

    st.session_state.pop("looks left", None)
    look_again()
