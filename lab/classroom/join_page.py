"""A learner in a class: join with a code, then follow the class: vote, wait, watch, compare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import streamlit as st

from engine.errors import BadInput
from lab.classroom.actions import CODE_CHARS
from lab.classroom.offer_view import offer_own
from lab.classroom.service import Classroom, topic
from lab.classroom.store import NICKNAME_CHARS, Ballot, ClassQuestion, Refusal, Room
from lab.classroom.view import answer_words, counts, follow, how_made, run_for_all
from lab.course.comparison import comparison, locked, opening
from lab.course.guess_form import drafted, guess_form
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
    opening(lesson, first=False)
    with st.container(key="arrive" if at.answer is None else "question"):  # once answered, the page moves to the answer
        st.subheader(asked.asks, anchor=False)
    if text := lesson.text(f"{asked.name} question"):
        st.markdown(text)
    if asked.knob is not None:
        st.markdown(f"{plain(asked.knob.label).capitalize()}: **{asked.knob.words(at.setting)}**, for everybody")
    follow(classroom, room)
    arrive(f"{asked.name} {at.vote} {at.counts} {at.running} {at.answer is None}")
    if at.open:
        _vote(classroom, books, room, at, lesson, asked)
        return
    mine = _mine(classroom, room)
    _remember(classroom, books, room, lesson, asked)
    _own(lesson, asked, mine)
    counts(classroom, room, asked)
    if at.answer is not None:
        _answer(classroom, books, room, at, at.answer, lesson, asked, mine)
    elif at.running:
        run_for_all(classroom, room, lesson, asked)
    _wait(classroom, at)


def _mine(classroom: Classroom, room: Room) -> Ballot | None:
    """This learner's second vote if there is one, else the first."""
    return classroom.actions.own(room, learner(), 2) or classroom.actions.own(room, learner(), 1)


def _own(lesson: Lesson, asked: Round, mine: Ballot | None) -> None:
    if mine:
        locked(asked, Entry(lesson.slug, asked.name, mine.at, mine.guess))


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
        draft, why = drafted(replace(asked, knob=None), key), ""
        if went_on() and draft.guess is not None:
            why = _lock(classroom, room, at, asked, draft.guess)
        if at.vote == 2:
            counts(classroom, room, asked)
        _remember(classroom, books, room, lesson, asked)
        mine = _mine(classroom, room)
        _own(lesson, asked, mine)
        if why:
            st.error(why)
        voted = classroom.actions.own(room, learner(), at.vote) is not None
        go_to_heading(f"{key} {voted}", "vote")
        if voted:
            _wait(classroom, at)
        else:
            _form(at, asked, key, draft.missing if went_on() else ())


def _lock(classroom: Classroom, room: Room, at: ClassQuestion, asked: Round, guess: Guess) -> str:
    """Cast the vote. Returns why not; "" if it is cast."""
    guess = msgspec.structs.replace(guess, setting=at.setting)
    try:
        classroom.actions.cast(room.code, learner(), at, asked, guess)
    except (Refusal, BadInput) as why:
        return str(why)
    return ""


def _form(at: ClassQuestion, asked: Round, key: str, missing: Sequence[str]) -> None:
    """Sends nothing until its button is pressed: while a class votes, each field would be a message."""
    where = "First vote, alone" if at.vote == 1 else "Second vote, after the talk"
    needs = f":red[Still missing: {' and '.join(missing)}.]" if missing else "A locked vote can't be changed."
    with st.form(f"{key} form", border=False, enter_to_submit=False):
        guess_form(replace(asked, knob=None), key)
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
    mine: Ballot | None,
) -> None:
    if mine is None:
        with st.container(key="arrive"):
            st.subheader(answer_words(room, asked), anchor=False)
        how_made(at.made)
        st.caption("You did not vote on this one.")
        return
    outcome = Outcome(key, judged(mine.guess.value, key), at.machine, now())
    entry = Entry(lesson.slug, asked.name, mine.at, mine.guess, outcome)
    comparison(lesson, asked, entry, outcome, classroom.evidence(room, lesson, asked), at.made)
    if not _once(f"outcome {room.code} {lesson.slug} {asked.name}"):
        return
    with classroom.turns.out_of_turn():
        book = books.mine()
        kept = book.entry(lesson.slug, asked.name)
        if kept is not None and kept.outcome is None and kept.guess.setting == mine.guess.setting:
            own = Outcome(key, judged(kept.guess.value, key), at.machine, outcome.at)
            book.settle(lesson.slug, asked.name, own)
