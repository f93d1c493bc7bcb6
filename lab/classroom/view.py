"""What pages of a class share: how it stands, the table of its counts, and the run that everybody watches."""

from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

import streamlit as st

from lab.classroom.live_updates import Sees, digest, look_at
from lab.classroom.service import evidence, gathering, rooms
from lab.classroom.store import Refusal, Room
from lab.classroom.tally import LOOK, tally_html
from lab.runs.live_scene import live
from lab.scene.component import scene
from lab.ui.formatting import amount, in_words, made_words
from lab.ui.js_component import component
from lab.ui.learner import learner
from lab.ui.page_turns import in_turn
from lessons.evidence import Made
from lessons.lesson import Lesson, Round
from lessons.question import Curve

_pulse = component("pulse", isolate_styles=False)


def follow(room: Room, *, leads: bool = False) -> None:
    """How things stand, said as soon as it changes; and the page anew whenever the class is somewhere else than in
    `room`: in its turn, or at once for who `leads`."""
    own = "" if leads else digest(learner())
    now = look_at(room)
    _follow(room, "leads=1" if leads else f"own={own}", now.at("", own), now.stand.says, now.stand.done)


def follow_quietly(room: Room, sees: Sees) -> None:
    """The page, or the fragment that this stands in, anew whenever that is not any more what it is in `room`."""
    own = digest(learner()) if sees == "away" else ""
    alone = sees in ("offers", "members")  # of the instructor; the others have a whole class beside them
    with st.container(key=f"quiet {sees}"):
        _follow(room, f"sees={sees}" + (f"&own={own}" if own else "&leads=1" * alone), look_at(room).at(sees, own))


def _follow(room: Room, who: str, at: str, says: str = "", done: float | None = None) -> None:
    data = {"stream": f"/lab/class?room={quote(room.code)}&{who}", "at": at, "says": says, "done": done}
    _pulse(data=data, key=f"pulse {who.partition('&')[0]}", default={"heard": ""}, on_heard_change=lambda: None)


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


def counts(room: Room, asked: Round) -> None:
    """Of the votes that the instructor has shown; nothing before."""
    votes, at = rooms().shown(room), room.question
    if at is not None and votes:
        st.html(f"<style>{LOOK}</style>{tally_html(asked.answer, votes, at.answer)}")


def answer_words(room: Room, asked: Round) -> str:
    """For a curve with its places: on a wall nothing else says them."""
    at, answer = room.question, asked.answer
    if at is None or at.answer is None:
        return ""
    places = f" at {', '.join(map(amount, answer.x))} {answer.x_label}" if isinstance(answer, Curve) else ""
    return f"Measured: {in_words(answer, at.answer.value)}{places}"


def how_made(made: Made | None) -> None:
    """Seeds and time of the runs behind an answer, and what is to be held against them."""
    if made is not None:
        st.caption(made_words(made))


@st.fragment
def run_for_all(room: Room, lesson: Lesson, asked: Round) -> None:
    """A learner's: the next of a question's runs has nothing else drawn anew."""
    with in_turn():
        follow_quietly(room, "run")
        common_run(room, lesson, asked)


def common_run(room: Room, lesson: Lesson, asked: Round) -> None:
    """The class's run as it happens; the same for all who look, and nobody's to command."""
    begun = gathering(room, lesson, asked)
    if begun and begun.run and not begun.measuring and (spec := live(begun.run)):
        scene({"kitchens": [spec], "can": []})
    if begun is None and (found := evidence(room, lesson, asked)):
        how_made(found.made)
