"""Tells a learner who is elsewhere in the lab when the class is at a question, or plays."""

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from lab.classroom.service import Classroom
from lab.classroom.view import follow_quietly
from lab.ui.learner import learner


def call(classroom: Classroom, to_class: StreamlitPage | None) -> None:
    """On pages that are not the class's own: a link `to_class` while it is at a question. None on lesson pages, which
    show that question themselves when they rerun."""
    room = classroom.actions.room_of(learner())
    if room is None:
        return
    at_question = classroom.at_question(learner())
    if at_question and to_class is not None:
        says = "plays a round" if room.pace == "play" else "is at a question"
        st.page_link(to_class, label=f"**Your class {says}.** Join in", icon=":material/campaign:")
    if to_class is not None or not at_question:
        follow_quietly(classroom, room, "away")
