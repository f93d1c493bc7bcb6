"""The course: every lesson in order, the learner's progress, and where to go on."""

from collections.abc import Sequence

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from lab.ui.learner import Books
from lab.ui.next_step import next_step
from lessons.lesson import Lesson


def page(books: Books, course: Sequence[tuple[Lesson, StreamlitPage]]) -> None:
    """All lessons, and how far one has come."""
    st.title("One guess at a time", anchor=False)
    st.markdown(
        "Each lesson asks before it shows. You lock a guess, a real engine runs, and both stand on one axis. "
        "Being wrong is the point: what surprises you is what you did not know yet."
    )
    if not course:
        st.info("There are no lessons here yet. The kitchen is open.")
        return
    entries = books.mine().entries()
    following = None
    for lesson, link in course:
        mine = [entry for entry in entries if entry.lesson == lesson.slug]
        done = len(mine) == len(lesson.rounds)
        if following is None and not done:
            following = (lesson, link, bool(mine))
        with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
            st.page_link(link, label=f"{lesson.number}. {lesson.title}", width="stretch")
            st.caption(_status(lesson, len(mine)), width="content")
    lesson, link, begun = following or (*course[0], True)
    does = f"Next: {lesson.title}" if following else "You have answered every question."
    label = "Look back" if not following else "Go on" if begun else "Start"
    if next_step(f"{len(entries)} guesses so far" if entries else "Welcome", does, label) == "go":
        st.switch_page(link)


def _status(lesson: Lesson, answered: int) -> str:
    if answered == len(lesson.rounds):
        return ":material/check_circle: done"
    if answered:
        return f"{answered} of {len(lesson.rounds)} answered"
    count = len(lesson.rounds)
    return f"{count} question{'' if count == 1 else 's'} · {lesson.minutes} min"
