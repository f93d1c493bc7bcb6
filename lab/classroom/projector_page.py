"""The projector, to be read from ten metres: the question and the way in, then how the class voted, the run, the answer
and why. What only keeps the books is small. Anybody may open it.
"""

from base64 import b64encode

import streamlit as st

from lab.classroom.offer_view import show
from lab.classroom.service import Classroom, topic
from lab.classroom.store import ClassQuestion, Room
from lab.classroom.view import common_run, counts, follow
from lab.classroom.way_in import qr, way_in
from lab.course.comparison import drawn
from lab.course.view import InClass, Reveal, round_view
from lab.scene.share_card import share_card
from lab.ui.assets import asset
from lab.ui.style import style
from lessons.evidence import Evidence
from lessons.lesson import Lesson, Round

WALL = asset("wall.css")
CARD = "What decided the runs, on their own seconds"
SCALE = 1.7  # of the kitchen on the wall


def page(classroom: Classroom) -> None:
    """The wall of the class whose code stands in the address."""
    style(WALL)
    code = st.query_params.get("room", "").upper()
    room = classroom.actions.room(code)
    if room is None:
        st.title("The projector", anchor=False)
        st.markdown("Open it from the instructor's page, which adds the code of the class to its address.")
        return
    up = classroom.offers.up(code)
    found = topic(room.question) if room.question else None
    if up is None and (room.question is None or room.pace == "free" or found is None):
        st.title("Join the class", anchor=False)
        _way_in(classroom, room, "alone")
        _tell(classroom, room, large=True)
        return
    votes = up is None and room.question is not None and room.question.open
    left, right = st.columns([3, 1] if votes else [6, 1], gap="large")
    with right:
        _way_in(classroom, room, "beside" if votes else "small")
        if not votes:
            _tell(classroom, room, large=False)
    with left:
        if up is not None:
            show(classroom, up)
        elif room.question is not None and found is not None:
            _question(classroom, room, room.question, *found)


def _question(classroom: Classroom, room: Room, at: ClassQuestion, lesson: Lesson, asked: Round) -> None:
    evidence = classroom.evidence(room, lesson, asked) if at.answer is not None else None
    of_class = InClass(at.setting, False, at.answer, at.machine, at.made)
    view = round_view(lesson, asked, None, evidence, of_class)
    voting = at.open and not at.counts
    running = at.running or at.answer is not None
    st.caption(f"Lesson {lesson.number} · {lesson.title}")
    with st.container(key="asks" if running else "asks_large"):
        st.title(view.asks, anchor=False)
    if view.chosen:
        st.markdown(view.chosen.replace("Your instructor has chosen for everybody", "For everybody"))
    if at.open:
        if voting and view.tells:
            st.markdown(view.tells)
        _tell(classroom, room, large=True)
        counts(classroom, room, asked)
    elif isinstance(view.found, Reveal):
        _answer(classroom, room, asked, view.found, evidence)
    else:
        if at.running:
            common_run(classroom, room, lesson, asked, scale=SCALE)
        with st.container(key="counts" if at.running else "counts_large"):
            counts(classroom, room, asked)


def _answer(classroom: Classroom, room: Room, asked: Round, found: Reveal, evidence: Evidence | None) -> None:
    """The answer, why, and how the class voted; beside it what decided the run, on the run's own seconds."""
    with st.container(key="found"):
        st.subheader(found.headline, anchor=False)
    why, seen = st.columns([1, 1], gap="large")
    with why:
        if found.explains:
            st.markdown(found.explains)
        for claim in found.claims:
            if claim.holds is not None:
                st.markdown(f"**{'Holds' if claim.holds else 'Not so'} {claim.where}:** {claim.says}")
        counts(classroom, room, asked)
    with seen:
        runs = list(evidence.logs.values()) if evidence and asked.has_runs else []
        if runs and not asked.computed:
            card = b64encode(share_card([repeats[0] for repeats in dict.fromkeys((runs[0], runs[-1]))]).encode())
            st.html(f'<img alt="{CARD}" src="data:image/svg+xml;base64,{card.decode()}" style="width:100%">')
        if found.shows is not None:
            drawn(asked, found.shows, "view")
        if found.made:
            st.caption(found.made)


def _tell(classroom: Classroom, room: Room, *, large: bool) -> None:
    with st.container(key="tell_large" if large else "tell"):
        follow(classroom, room)


def _way_in(classroom: Classroom, room: Room, how: str) -> None:
    """Safe as HTML: the code comes from the lab's own alphabet, and the address from the browser."""
    address = way_in(classroom, room)
    shown = address.partition("?")[0].partition("//")[2].replace("<", "").replace("&", "")
    st.html(
        f'<div class="way-in {how}"><img alt="QR code of the way in" src="{qr(address)}">'
        f'<div><div class="at">{shown}</div><div class="code">{room.code}</div></div></div>'
    )
