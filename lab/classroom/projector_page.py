"""The projector: how to join, the question, how many have voted, and what has been shown. Anybody may open it."""

import streamlit as st

from lab.classroom.offer_view import show
from lab.classroom.service import Classroom, topic
from lab.classroom.store import ClassQuestion, Room
from lab.classroom.view import answer_words, common_run, counts, follow, how_made
from lab.classroom.way_in import qr, way_in
from lab.ui.style import style
from lessons.lesson import Lesson, Round

BIG = """
.stApp [data-testid=stHeader], .stApp [data-testid=stSidebar] { display: none; }
.stMainBlockContainer { max-width: 100%; padding: 3vh 4vw; }
.stMainBlockContainer h1 { font-size: clamp(2rem, 3.6vw, 4.6rem); line-height: 1.15; padding-bottom: .25em; }
.stMainBlockContainer h2, .stMainBlockContainer h3 { font-size: clamp(1.4rem, 2.2vw, 3rem); }
.stMainBlockContainer :is(p, li) { font-size: clamp(1.1rem, 1.5vw, 2rem); line-height: 1.4; }
.stMainBlockContainer [data-testid=stCaptionContainer] p { font-size: clamp(1.1rem, 1.5vw, 2rem); }
.stMainBlockContainer [data-testid=stExpander] { display: none; }
.way-in { display: flex; flex-wrap: wrap; gap: 4vw; align-items: center; }
.way-in img { width: min(100%, 62vh); aspect-ratio: 1; border-radius: 8px; }
.way-in.small img { width: min(100%, 15vw, 24vh); }
.way-in .code { font-size: clamp(3rem, 11vw, 16rem); font-weight: 700; letter-spacing: .12em; line-height: 1;
  font-variant-numeric: tabular-nums; }
.way-in.small { flex-direction: column; gap: 1vh; text-align: center; }
.way-in.small .code { margin-right: -.12em; }
.way-in.small .code { font-size: clamp(1.6rem, 3vw, 4rem); }
.way-in .at { font-size: clamp(1.1rem, 2.6vw, 3.6rem); overflow-wrap: anywhere; }
.way-in.small .at { display: none; }
.tally { font-size: clamp(1.1rem, min(1.6vw, 2.6vh), 2.2rem); line-height: 1.2; }
.tally :is(th, td) { padding: .25em .5em; }
.tally tbody th { white-space: nowrap; }
.tally br { display: none; }
.st-key-tell p { font-size: clamp(1.6rem, 3vw, 4rem) !important; font-weight: 600; font-variant-numeric: tabular-nums; }
"""


def page(classroom: Classroom) -> None:
    style(BIG)
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
        _way_in(classroom, room, small=False)
        _tell(classroom, room)
        return
    left, right = st.columns([5, 1], gap="large")
    with right:
        _way_in(classroom, room, small=True)
    with left:
        if up is not None:
            show(classroom, up)
            _tell(classroom, room)
        elif room.question is not None and found is not None:
            _question(classroom, room, room.question, *found)


def _question(classroom: Classroom, room: Room, at: ClassQuestion, lesson: Lesson, asked: Round) -> None:
    st.caption(f"Lesson {lesson.number} · {lesson.title}")
    st.title(asked.asks, anchor=False)
    if asked.knob is not None:
        st.markdown(f"{asked.knob.label.capitalize()}: **{asked.knob.words(at.setting)}**")
    if at.open and (text := lesson.text(f"{asked.name} question")):
        st.markdown(text)
    if words := answer_words(room, asked):
        st.subheader(words, anchor=False)
    how_made(at.made)
    _tell(classroom, room)
    if at.running and at.answer is None:
        common_run(classroom, room, lesson, asked)  # above the counts: nobody scrolls a projector
    counts(classroom, room, asked)


def _tell(classroom: Classroom, room: Room) -> None:
    with st.container(key="tell"):
        follow(classroom, room, leads=True)


def _way_in(classroom: Classroom, room: Room, *, small: bool) -> None:
    """Safe as HTML: the code comes from the lab's own alphabet, and the address from the browser."""
    address = way_in(classroom, room)
    shown = address.partition("?")[0].partition("//")[2].replace("<", "").replace("&", "")
    st.html(
        f'<div class="way-in{" small" if small else ""}"><img alt="QR code of the way in" src="{qr(address)}">'
        f'<div><div class="at">{shown}</div><div class="code">{room.code}</div></div></div>'
    )
