"""A learner who is elsewhere in the lab is told when the class goes on."""

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from lab.classroom.service import class_in_step, rooms
from lab.classroom.view import follow_quietly
from lab.ui.learner import learner


def call(to_class: StreamlitPage | None) -> None:
    """On a page that is not the class's own: the way `to_class` while it is at a question. None on pages of lessons,
    which show that question themselves once they are drawn anew."""
    room = rooms().room_of(learner())
    if room is None:
        return
    at_question = class_in_step()
    if at_question and to_class is not None:
        st.page_link(to_class, label="**Your class is at a question.** Join in", icon=":material/campaign:")
    if to_class is not None or not at_question:
        follow_quietly(room, "away")
