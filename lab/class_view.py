"""What pages of a class share: how the class stands, the table of its counts, and the run that everybody watches."""

from urllib.parse import quote

import streamlit as st

from lab.amounts import in_words
from lab.ballots import LOOK, tally_html
from lab.classroom import gathering, rooms
from lab.export import MODULE
from lab.pulse import stand
from lab.room import Room
from lab.scene import live, scene
from lessons.lesson import Lesson, Round

_pulse = st.components.v2.component(
    "split_kitchen.pulse", js=MODULE.with_name("pulse.js").read_text("utf-8"), isolate_styles=False
)


def follow(room: Room, *, leads: bool = False) -> None:
    """How things stand, said as soon as it changes; and the page anew whenever the class is somewhere else than in
    `room`: in its turn, or at once for who `leads`."""
    now = stand(room)
    stream = f"/lab/class?room={quote(room.code)}" + ("&leads=1" if leads else "")
    data = {"stream": stream, "at": now.at, "says": now.says, "done": now.done}
    _pulse(data=data, key="pulse", default={"heard": ""}, on_heard_change=lambda: None)


def counts(room: Room, asked: Round) -> None:
    """Of the votes that the instructor has shown; nothing before."""
    votes, at = rooms().shown(room), room.question
    if at is not None and votes:
        st.html(f"<style>{LOOK}</style>{tally_html(asked.answer, votes, at.answer)}")


def answer_words(room: Room, asked: Round) -> str:
    at = room.question
    return f"Measured: {in_words(asked.answer, at.answer.value)}" if at is not None and at.answer else ""


def common_run(room: Room, lesson: Lesson, asked: Round) -> None:
    """The class's run as it happens; the same for all who look, and nobody's to command."""
    begun = gathering(room, lesson, asked)
    if begun and begun.run and not begun.measuring and (spec := live(begun.run)):
        scene({"kitchens": [spec], "can": []})
