"""The script that Streamlit runs for every visitor: it wires pages to the lab's services, and nothing else.

A new kind of page is one line in `menu`; a new lesson needs none.
"""

from collections.abc import Callable, Sequence

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from engine.fleet.advisor.question import Question
from lab.classroom import instructor_page, offer_view
from lab.classroom.call import call
from lab.classroom.to_class import to_class
from lab.clusters import advisor_page, reality_page, scale_page
from lab.clusters.advisor_form import fill_in
from lab.course import contents_page, lesson_page, progress_page
from lab.course.lesson_page import Course
from lab.kitchen import kitchen_page
from lab.ui.assets import ASSETS
from lab.ui.learner import learner
from lab.ui.leave import leave
from lab.web.services import running
from lessons import all_lessons
from lessons.l11_four_gpus.lesson import ASKED as LAST_QUESTION
from lessons.lesson import Lesson

st.set_page_config(page_title="Split Kitchen", page_icon=str(ASSETS / "icon.svg"), layout="wide")
lab = running()


def offer_own(runs: Sequence[str]) -> None:
    """A button that offers one's own runs to the class, where one is a member."""
    offer_view.offer_own(lab.classroom, runs)


def one_lesson(lesson: Lesson, following: Lesson | None) -> Callable[[], None]:
    """What draws a lesson, or the way to a class that is at a question."""

    def onward() -> None:
        if following:
            st.switch_page(course[following.slug])
        ask_advisor(LAST_QUESTION)

    def show() -> None:
        if lab.classroom.at_question(learner()):
            to_class()
        else:
            services = Course(lab.engine, lab.evidence, lab.books, offer_own)
            lesson_page.page(services, lesson, onward, "Next lesson" if following else "Your own GPUs")

    return show


def ask_advisor(question: Question) -> None:
    """Its page, filled in."""
    fill_in(question)
    st.switch_page(advisor, query_params={})  # without it Streamlit refuses to leave fields that are in the address


def page_of(lesson: Lesson, following: Lesson | None) -> StreamlitPage:
    """The page of a lesson; it stands in no menu."""
    show = one_lesson(lesson, following)
    return st.Page(show, title=lesson.title, url_path=lesson.slug, visibility="hidden")


def all_of_the_course() -> None:
    """The page with all lessons."""
    contents_page.page(lab.books, [(one, course[one.slug]) for one in every])


def progress() -> None:
    """The page with one's own guesses."""
    progress_page.page(lab.books, lab.evidence, lambda: st.switch_page(contents))


every = all_lessons()
course = {one.slug: page_of(one, following) for one, following in zip(every, (*every[1:], None), strict=False)}
contents = st.Page(all_of_the_course, title="Lessons", url_path="lessons")
results = st.Page(progress, title="Progress", url_path="progress")
desk = st.Page(
    lambda: instructor_page.page(lab.classroom, lab.paces),
    title="Lead a class",
    url_path="instructor",
    visibility="hidden",
)
classroom = st.Page(to_class, title="Class", url_path="join")
advisor = st.Page(lambda: advisor_page.page(lab.jobs), title="Your lab", url_path="advisor")
menu = [
    st.Page(lambda: kitchen_page.page(lab.engine, offer_own), title="Kitchen", url_path="kitchen", default=True),
    contents,
    st.Page(lambda: leave("play", "Be the cook", "The game"), title="Be the cook", url_path="play"),
    st.Page(lambda: scale_page.page(lab.jobs, ask_advisor), title="Scale up", url_path="scale"),
    st.Page(lambda: reality_page.page(lab.engine), title="Model and reality", url_path="reality"),
    advisor,
    classroom,
    results,
]
shown = st.navigation([*menu, desk, *course.values()], position="top")
if shown not in (classroom, desk):
    call(lab.classroom, None if shown in course.values() else classroom)
shown.run()
