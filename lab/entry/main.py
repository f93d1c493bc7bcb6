"""The page that Streamlit runs for every visitor: navigation, nothing else.

A new kind of page is one line in `menu`; a new lesson needs none.
"""

from collections.abc import Callable

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from lab.assets import ASSETS
from lab.class_call import call
from lab.classroom import class_in_step
from lab.pages import (
    instructor,
    join,
    kitchen,
    lesson as lesson_page,
    lessons as lessons_page,
    progress,
    projector,
    reality,
    scale,
    your_lab,
)
from lab.turn import in_turn
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
    join.page(lambda: st.switch_page(contents), lambda: st.switch_page(desk))


def page_of(lesson: Lesson, following: Lesson | None) -> StreamlitPage:
    show = one_lesson(lesson, following)
    return st.Page(show, title=lesson.title, url_path=lesson.slug, visibility="hidden")


every = all_lessons()
course = {one.slug: page_of(one, following) for one, following in zip(every, (*every[1:], None), strict=False)}
contents = st.Page(
    lambda: lessons_page.page([(one, course[one.slug]) for one in every]), title="Lessons", url_path="lessons"
)
results = st.Page(lambda: progress.page(lambda: st.switch_page(contents)), title="Progress", url_path="progress")
desk = st.Page(instructor.page, title="Lead a class", url_path="instructor", visibility="hidden")
wall = st.Page(projector.page, title="Projector", url_path="projector", visibility="hidden")
classroom = st.Page(the_class, title="Class", url_path="join")
menu = [
    st.Page(kitchen.page, title="Kitchen", url_path="kitchen", default=True),
    contents,
    st.Page(scale.page, title="Scale up", url_path="scale"),
    st.Page(reality.page, title="Model and reality", url_path="reality"),
    st.Page(your_lab.page, title="Your lab", url_path="advisor"),
    classroom,
    results,
]
shown = st.navigation([*menu, desk, wall, *course.values()], position="top")
if shown not in (classroom, desk, wall):
    call(None if shown in course.values() else classroom)
with in_turn():
    shown.run()
