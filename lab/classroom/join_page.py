"""A learner in a class: join with a code, then follow the class: vote, wait, watch, compare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import streamlit as st

from engine.errors import BadInput
from lab.classroom.actions import CODE_CHARS
from lab.classroom.offer_view import offer_own
from lab.classroom.presence import digest
from lab.classroom.service import Classroom, topic
from lab.classroom.store import NICKNAME_CHARS, Ballot, ClassQuestion, Refusal, Room
from lab.classroom.view import counts, follow, run_for_all
from lab.course.comparison import locked, opening, reveal
from lab.course.guess_form import drafted, guess_form
from lab.course.view import Form, InClass, Reveal, RoundView, round_view
from lab.ui.formatting import plain
from lab.ui.learner import Books, learner, remembered
from lab.ui.next_step import arrive, go_to_heading, next_step, went_on
from lab.ui.style import READING, style
from lessons.book import Entry, Guess, Outcome, now
from lessons.keys import Key, judged
from lessons.lesson import Lesson, Round

CODE, NICKNAME, JOINS = "join code", "join nickname", "join"  # names in the session


@dataclass(frozen=True)
class Ways:
    """What leads to other pages."""

    to_lessons: Callable[[], None]
    to_instructor: Callable[[], None]


def page(classroom: Classroom, books: Books, ways: Ways) -> None:
    classroom.presence.saw(digest(learner()))
    coming = st.query_params.get("room", "")
    refused = _come_in(classroom, coming) if st.session_state.get(JOINS) else ""
    room = classroom.actions.room_of(learner())
    if room is None or (coming and coming.upper() != room.code and not st.session_state.get("stays")):
        _join(coming, refused, ways.to_instructor)
    elif room.pace == "free" or room.question is None:
        _free(classroom, room, ways.to_lessons)
    elif (found := topic(room.question)) is None:
        st.warning("The class is at a lesson that this lab does not have.")
    else:
        _question(classroom, books, room, room.question, *found)


def _join(coming: str, refused: str, to_instructor: Callable[[], None]) -> None:
    style(READING)
    st.title("Join a class", anchor=False)
    st.markdown("The code is on the projector. No account; your vote is shown to nobody with your name.")
    if not remembered():
        st.warning("This browser keeps no cookie for this page: after a reload you would have to join once more.")
    with st.form("join form"):
        st.text_input("Code", coming, max_chars=CODE_CHARS, key=CODE)
        st.text_input("Nickname (optional)", max_chars=NICKNAME_CHARS, key=NICKNAME)
        st.caption("The instructor sees it in the list of votes; the class only if you offer a run under it.")
        st.form_submit_button("Join", type="primary", icon=":material/login:", key=JOINS)
    if refused:
        st.error(refused)
    if st.button("I lead a class", type="tertiary", icon=":material/co_present:"):
        to_instructor()


def _come_in(classroom: Classroom, coming: str) -> str:
    """Join, before anything is drawn, so that nothing is drawn twice. Returns why not; "" if it worked."""
    code, nickname = st.session_state.get(CODE, coming), st.session_state.get(NICKNAME, "")
    try:
        classroom.actions.join(code.strip().upper(), learner(), nickname)
    except Refusal as why:
        return str(why)
    st.session_state["stays"] = True
    return ""


def _leave(classroom: Classroom) -> None:
    if st.button("Leave the class", type="tertiary", icon=":material/logout:", key="leave"):
        classroom.actions.leave(learner())
        st.rerun()


def _free(classroom: Classroom, room: Room, to_lessons: Callable[[], None]) -> None:
    st.title(f"Class {room.code}", anchor=False)
    st.markdown("You are in. Go where you like; when the instructor asks a question, **this page** takes you to it.")
    follow(classroom, room)
    offer_own(classroom, ())
    _leave(classroom)
    does = "Keep this page open, or look at the lessons in the meantime."
    if next_step("Free roam", does, "To the lessons") == "go":
        to_lessons()


# ---- at the class's question


def _question(classroom: Classroom, books: Books, room: Room, at: ClassQuestion, lesson: Lesson, asked: Round) -> None:
    number = lesson.rounds.index(asked) + 1
    st.caption(f"Class {room.code} · Lesson {lesson.number} · question {number} of {len(lesson.rounds)}")
    st.title(lesson.title, anchor=False)
    view = _view(classroom, room, at, lesson, asked)
    with st.container(key="arrive" if at.vote == 1 and not at.running and at.answer is None else "question"):
        st.subheader(view.asks, anchor=False)
    follow(classroom, room)
    arrive(f"{asked.name} {at.vote} {at.counts} {at.running} {at.answer is None}")
    if at.open:
        _asked(view)
        _vote(classroom, books, room, at, lesson, asked)
        return
    _remember(classroom, books, room, lesson, asked)
    if at.running and at.answer is None:
        with st.container(key="arrive"):
            st.subheader("The run", anchor=False)
        run_for_all(classroom, room, lesson, asked)
    if view.locked:
        locked(view.locked)
    if at.answer is not None:
        _answer(classroom, books, room, at, at.answer, lesson, asked, view)
    counts(classroom, room, asked)
    _asked(view)
    _wait(classroom, at)


def _asked(view: RoundView) -> None:
    """What a voter has to know; after the vote it is below what the class is looking at."""
    for text in filter(None, (view.tells, plain(view.chosen))):
        st.markdown(text)
    opening(view, first=False)


def _view(classroom: Classroom, room: Room, at: ClassQuestion, lesson: Lesson, asked: Round) -> RoundView:
    """What this learner may see. The evidence is looked up only once the answer is shown."""
    mine, now = _mine(classroom, room), classroom.actions.own(room, learner(), at.vote)
    entry = Entry(lesson.slug, asked.name, mine.at, mine.guess) if mine else None
    evidence = classroom.evidence(room, lesson, asked) if at.answer is not None else None
    of_class = InClass(at.setting, at.open and now is None, at.answer, at.machine, at.made)
    return round_view(lesson, asked, entry, evidence, of_class)


def _mine(classroom: Classroom, room: Room) -> Ballot | None:
    """This learner's second vote if there is one, else the first."""
    return classroom.actions.own(room, learner(), 2) or classroom.actions.own(room, learner(), 1)


def _wait(classroom: Classroom, at: ClassQuestion) -> None:
    offer_own(classroom, ())
    _leave(classroom)
    next_step(*_waiting(at), "", step=None)


def _waiting(at: ClassQuestion) -> tuple[str, str]:
    if at.answer is not None:
        return "Answered", "The instructor goes on to the next question."
    if at.running:
        return "The run", "One engine, one run, everybody watches."
    if at.open:
        return "Voted", "Waiting for the others. Your vote is kept, even if you reload."
    return "Vote closed", "Talk it over with your neighbours."


@st.fragment
def _vote(classroom: Classroom, books: Books, room: Room, at: ClassQuestion, lesson: Lesson, asked: Round) -> None:
    """A fragment: locking a vote reruns what follows the question, which is half of the page's work."""
    with classroom.turns.in_turn():
        key = f"class {room.code} {lesson.slug} {asked.name} {at.vote}"
        form, why = _view(classroom, room, at, lesson, asked).form, ""
        missing = drafted(form, key).missing if form and went_on() else ()
        if form and went_on() and (guess := drafted(form, key).guess) is not None:
            why = _lock(classroom, room, at, asked, guess)
        _remember(classroom, books, room, lesson, asked)
        view = _view(classroom, room, at, lesson, asked)
        if at.vote == 2:
            with st.container(key="arrive"):
                st.subheader("Vote again, after the talk", anchor=False)
        if view.locked:
            locked(view.locked)
        if why:
            st.error(why)
        go_to_heading(f"{key} {view.form is None}", "vote")
        if view.form is not None:
            _form(at, view.form, key, missing)
        if at.vote == 2:
            counts(classroom, room, asked)
        if view.form is None:
            _wait(classroom, at)


def _lock(classroom: Classroom, room: Room, at: ClassQuestion, asked: Round, guess: Guess) -> str:
    """Cast the vote. Returns why not; "" if it is cast."""
    guess = msgspec.structs.replace(guess, setting=at.setting)
    try:
        classroom.actions.cast(room.code, learner(), at, asked, guess)
    except (Refusal, BadInput) as why:
        return str(why)
    return ""


def _form(at: ClassQuestion, form: Form, key: str, missing: Sequence[str]) -> None:
    """Sends nothing until its button is pressed: while a class votes, each field would be a message."""
    where = "First vote, alone" if at.vote == 1 else "Second vote, after the talk"
    needs = f":red[Still missing: {' and '.join(missing)}.]" if missing else "A locked vote can't be changed."
    with st.form(f"{key} form", border=False, enter_to_submit=False):
        guess_form(form, key)
        next_step(where, needs, "Lock my vote", step=None, form=True)


def _remember(classroom: Classroom, books: Books, room: Room, lesson: Lesson, asked: Round) -> None:
    """Enter the first vote into this learner's own book as a guess, unless a guess was locked there before."""
    first = classroom.actions.own(room, learner(), 1)
    if first is None or not _once(f"guess {room.code} {lesson.slug} {asked.name}"):
        return
    with classroom.turns.out_of_turn():
        book = books.mine()
        if book.entry(lesson.slug, asked.name) is None:
            book.commit(lesson.slug, asked, first.guess)


def _once(what: str) -> bool:
    """Whether this session asks for `what` for the first time."""
    done: set[str] = st.session_state.setdefault("done in class", set())
    asked_before = what in done
    done.add(what)
    return not asked_before


def _answer(
    classroom: Classroom,
    books: Books,
    room: Room,
    at: ClassQuestion,
    key: Key,
    lesson: Lesson,
    asked: Round,
    view: RoundView,
) -> None:
    assert isinstance(view.found, Reveal)
    reveal(asked, view.found)
    if view.locked is None:
        st.caption("You did not vote on this one.")
        return
    if not _once(f"outcome {room.code} {lesson.slug} {asked.name}"):
        return
    with classroom.turns.out_of_turn():
        book = books.mine()
        kept = book.entry(lesson.slug, asked.name)
        if kept is not None and kept.outcome is None and kept.guess.setting == at.setting:
            own = Outcome(key, judged(kept.guess.value, key), at.machine, now())
            book.settle(lesson.slug, asked.name, own)
