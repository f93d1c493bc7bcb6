"""The page that Streamlit runs for every visitor: navigation, nothing else.

A new kind of page is one line in `menu`; a new lesson needs none.
"""

from collections.abc import Callable

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from lab.classroom import instructor_page, join_page, projector_page
from lab.classroom.call import call
from lab.classroom.service import class_in_step
from lab.clusters import advisor_page, reality_page, scale_page
from lab.course import contents_page, lesson_page, progress_page
from lab.kitchen import kitchen_page
from lab.ui.js_component import ASSETS
from lab.ui.page_turns import in_turn
from lessons import all_lessons
from lessons.lesson import Lesson

st.set_page_config(page_title="Split Kitchen", page_icon=str(ASSETS / "icon.svg"), layout="wide")


def one_lesson(lesson: Lesson, following: Lesson | None) -> Callable[[], None]:
    def onward() -> None:
        st.switch_page(course[following.slug] if following else results)

    def show() -> None:
        if class_in_step():
            the_class()
        else:
            lesson_page.page(lesson, onward, "Next lesson" if following else "See your progress")

    return show


def the_class() -> None:
    join_page.page(lambda: st.switch_page(contents), lambda: st.switch_page(desk))


def page_of(lesson: Lesson, following: Lesson | None) -> StreamlitPage:
    show = one_lesson(lesson, following)
    return st.Page(show, title=lesson.title, url_path=lesson.slug, visibility="hidden")


every = all_lessons()
course = {one.slug: page_of(one, following) for one, following in zip(every, (*every[1:], None), strict=False)}
contents = st.Page(
    lambda: contents_page.page([(one, course[one.slug]) for one in every]), title="Lessons", url_path="lessons"
)
results = st.Page(lambda: progress_page.page(lambda: st.switch_page(contents)), title="Progress", url_path="progress")
desk = st.Page(instructor_page.page, title="Lead a class", url_path="instructor", visibility="hidden")
wall = st.Page(projector_page.page, title="Projector", url_path="projector", visibility="hidden")
classroom = st.Page(the_class, title="Class", url_path="join")
menu = [
    st.Page(kitchen_page.page, title="Kitchen", url_path="kitchen", default=True),
    contents,
    st.Page(scale_page.page, title="Scale up", url_path="scale"),
    st.Page(reality_page.page, title="Model and reality", url_path="reality"),
    st.Page(advisor_page.page, title="Your lab", url_path="advisor"),
    classroom,
    results,
]
shown = st.navigation([*menu, desk, wall, *course.values()], position="top")
if shown not in (classroom, desk, wall):
    call(None if shown in course.values() else classroom)
with in_turn():
    shown.run()
