"""What the instructor's desk, and pages beside a class, show of it: its status, and the run that everybody watches."""

from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

import streamlit as st

from lab.classroom.looks import Sees, look_at
from lab.classroom.presence import known_as
from lab.classroom.service import Classroom
from lab.classroom.store import Refusal, Room
from lab.ui.formatting import made_words
from lab.ui.learner import learner
from lab.ui.pulse import pulse
from lessons.evidence import Made


def follow(classroom: Classroom, room: Room) -> None:
    """The class's status line, always current. Reruns the page when the class's state differs from `room`."""
    now = look_at(classroom, room)
    _follow(room, "leads=1", now.at(), now.stand.says, now.stand.done)


def follow_quietly(classroom: Classroom, room: Room, sees: Sees) -> None:
    """Reruns the page, or the fragment around this call, when what it `sees` differs from `room`."""
    own = known_as(learner()) if sees == "away" else ""
    alone = sees in ("offers", "members")  # the instructor's pages; others rerun beside a whole class
    with st.container(key=f"quiet {sees}"):
        _follow(
            room,
            f"sees={sees}" + (f"&own={own}" if own else "&leads=1" * alone),
            look_at(classroom, room).at(sees, own),
        )


def _follow(room: Room, who: str, at: str, says: str = "", done: float | None = None) -> None:
    pulse(f"pulse {who.partition('&')[0]}", f"/lab/class?room={quote(room.code)}&{who}", at, says, done)


def attempt(act: Callable[[], object]) -> None:
    """Do what a button asks for, and rerun; or show why not."""
    try:
        act()
    except Refusal as why:
        st.error(str(why))
    else:
        st.rerun()


def emphasis(usual: bool) -> Literal["primary", "secondary"]:
    """A button's type: primary if it is the `usual` next one."""
    return "primary" if usual else "secondary"


def how_made(made: Made | None) -> None:
    """Seeds and time of the runs behind an answer, and what limits them."""
    if made is not None:
        st.caption(made_words(made))
