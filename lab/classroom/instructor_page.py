"""The instructor's page: the key, then a class, what it is asked, how many have voted, and what is shown when."""

import streamlit as st

from lab.classroom.cook_page import game_of
from lab.classroom.instructor_game import ask_to_play, now as now_at_the_game
from lab.classroom.instructor_question import now
from lab.classroom.instructor_records import keep
from lab.classroom.offer_view import offered
from lab.classroom.service import Classroom, following
from lab.classroom.store import Room
from lab.classroom.view import attempt, emphasis
from lab.classroom.way_in import address, only_here, way_in
from lab.play.paces import Paces
from lab.ui.learner import learner
from lab.ui.style import READING, style
from lessons import all_lessons


def page(classroom: Classroom, paces: Paces) -> None:
    """The desk: the door, the class that is led, and what it shows."""
    style(READING)
    st.title("Lead a class", anchor=False)
    if learner() not in classroom.instructors:
        _door(classroom)
        return
    room = _choose(classroom)
    if room is None:
        st.markdown("Open a class, put its projector page on the wall, and let people join with the code.")
        return
    _head(classroom, room)
    if (game := game_of(classroom, room)) is not None:
        now_at_the_game(classroom, room, game)
    else:
        now(classroom, room)
    offered(classroom, room)
    _ask(classroom, room)
    ask_to_play(classroom, paces, room)
    keep(classroom, room)


def _door(classroom: Classroom) -> None:
    with st.form("door", clear_on_submit=True):
        key = st.text_input("Instructor's key", type="password", max_chars=200, key="instructor key")
        enters = st.form_submit_button("Enter", type="primary", icon=":material/key:")
    st.caption("The lab printed it when it started, unless whoever runs the lab has set another.")
    if enters:
        attempt(lambda: classroom.instructors.admit(learner(), key))


# ---- which class


def _choose(classroom: Classroom) -> Room | None:
    me = learner()
    known = classroom.actions.all(me)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if known:
            codes = [room.code for room in known]
            chosen = st.session_state.get("class")
            at = codes.index(chosen) if chosen in codes else 0
            st.session_state["class"] = st.selectbox("Class", codes, at, width=160)
        if st.button("Open a class", type=emphasis(not known), icon=":material/add:"):
            st.session_state["class"] = classroom.actions.open(me).code
            st.rerun()
        if st.button("Stop instructing", type="tertiary", icon=":material/logout:"):
            attempt(lambda: classroom.instructors.dismiss(me))
    return next((room for room in known if room.code == st.session_state.get("class")), None)


def _head(classroom: Classroom, room: Room) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Join at **{way_in(classroom, room).partition('?')[0]}** with **{room.code}**", width="content")
        st.link_button("Projector page", address(classroom, f"projector?room={room.code}"), icon=":material/cast:")
    if only_here(classroom):
        st.warning(
            "This address works on this machine only. Open this page at an address that the class can reach, or set "
            "SPLIT_KITCHEN_URL to it; the QR code follows."
        )


# ---- the next question


def _ask(classroom: Classroom, room: Room) -> None:
    st.subheader("Ask a question", anchor=False)
    course = all_lessons()
    if not course:
        st.info("There are no lessons here.")
        return
    at = room.question
    lesson_after, asked_after = following(course, at) or (course[-1], course[-1].rounds[-1])
    key = f"{room.code} {at.lesson if at else ''} {at.round if at else ''}"  # new widgets, which start at the next one
    lesson = st.selectbox(
        "Lesson",
        course,
        course.index(lesson_after),
        format_func=lambda one: f"{one.number}. {one.title}",
        key=f"{key} lesson",
    )
    asked = st.selectbox(
        "Question",
        lesson.rounds,
        lesson.rounds.index(asked_after) if lesson.slug == lesson_after.slug else 0,
        format_func=lambda one: one.asks,
        key=f"{key} {lesson.slug} round",
    )
    setting = 0.0
    if asked.knob is not None:
        label = asked.knob.label.capitalize()
        setting = st.radio(f"{label}, for everybody", asked.knob.values, format_func=asked.knob.words, horizontal=True)
    if st.button("Ask this", type=emphasis(at is None), icon=":material/campaign:"):
        attempt(lambda: classroom.actions.ask(room.code, learner(), lesson.slug, asked.name, setting))
