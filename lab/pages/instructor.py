"""The instructor's page: the key, then a class: what it is asked, how many have voted, and what is shown when."""

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st

from lab.amounts import plain
from lab.ballots import as_csv, as_jsonl, bins, tally
from lab.class_view import answer_words, common_run, follow
from lab.classroom import address, evidence, forget_runs, gathering, instructors, only_here, rooms, topic, way_in
from lab.engine_room import ENGINE_ROOM
from lab.learner import learner
from lab.look import READING, look
from lab.room import Question, Refusal, Room
from lessons import all_lessons
from lessons.lesson import Lesson, Round

TIMERS_S = {"1 min": 60, "2 min": 120, "5 min": 300, "none": 0}


def page() -> None:
    look(READING)
    st.title("Lead a class", anchor=False)
    if learner() not in instructors():
        _door()
        return
    room = _choose()
    if room is None:
        st.markdown("Open a class, show its projector page on the wall, and let people join with the code.")
        return
    _head(room)
    _now(room)
    _ask(room)
    _keep(room)


def _door() -> None:
    with st.form("door", clear_on_submit=True):
        key = st.text_input("Instructor's key", type="password", max_chars=200, key="instructor key")
        enters = st.form_submit_button("Enter", type="primary", icon=":material/key:")
    st.caption("The lab printed it when it started, or whoever runs the lab has set it.")
    if enters:
        _do(lambda: instructors().admit(learner(), key))


def _do(act: Callable[[], object]) -> None:
    """What a button asks for; why not, if it can't be."""
    try:
        act()
    except Refusal as why:
        st.error(str(why))
    else:
        st.rerun()


# ---- which class


def _choose() -> Room | None:
    me = learner()
    known = rooms().all(me)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if known:
            codes = [room.code for room in known]
            chosen = st.session_state.get("class")
            at = codes.index(chosen) if chosen in codes else 0
            st.session_state["class"] = st.selectbox("Class", codes, at, width=160)
        if st.button("Open a class", type=_main(not known), icon=":material/add:"):
            st.session_state["class"] = rooms().open(me).code
            st.rerun()
        if st.button("Leave this page to learners", type="tertiary", icon=":material/logout:"):
            _do(lambda: instructors().dismiss(me))
    return next((room for room in known if room.code == st.session_state.get("class")), None)


def _head(room: Room) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Join at **{way_in(room).partition('?')[0]}** with **{room.code}**", width="content")
        st.link_button("Projector page", address(f"projector?room={room.code}"), icon=":material/cast:")
    if only_here():
        st.warning(
            "This address leads here from this machine only. Open this page at the address that the class can reach, "
            "or set SPLIT_KITCHEN_URL to it; the QR code follows."
        )


# ---- the question that the class is at


def _now(room: Room) -> None:
    me, at = learner(), room.question
    found = topic(at) if at else None
    with st.container(border=True, key="now"):
        if at is None or found is None:
            st.subheader("No question yet", anchor=False)
            follow(room, leads=True)
            return
        lesson, asked = found
        st.caption(f"Lesson {lesson.number} · {lesson.title} · {_where(room, at)}")
        st.subheader(asked.asks, anchor=False)
        follow(room, leads=True)
        if words := answer_words(room, asked):
            st.markdown(f"**{words}**")
        _steps(room, at, lesson, asked)
        if at.running and at.answer is None:
            _run(room, lesson, asked)
        _pace(room)
        if st.toggle("Let me see the votes here (nobody else does)", key="peek"):
            mine = [one for one in rooms().ballots(room.code, me) if (one.lesson, one.round) == (at.lesson, at.round)]
            votes = [[one.guess for one in mine if one.vote == vote] for vote in (1, 2)]
            columns = {f"Vote {n}": [str(count) for count in tally(asked.answer, votes[n - 1])] for n in (1, 2)}
            st.table({"Guess": bins(asked.answer), **columns}, border="horizontal")


def _where(room: Room, at: Question) -> str:
    if room.pace == "free":
        return "free roam"
    if at.answer is not None:
        return "answer shown"
    if at.running:
        return "the run, vote closed"
    return f"{'first' if at.vote == 1 else 'second'} vote {'open' if at.open else 'closed'}"


def _steps(room: Room, at: Question, lesson: Lesson, asked: Round) -> None:
    """In the order of a lesson; the usual next one stands out. What has been shown can't be taken back."""
    me, code = learner(), room.code
    ready = evidence(room, lesson, asked) is not None
    with st.container(horizontal=True):
        if st.button("Show counts", icon=":material/bar_chart:", type=_main(at.open), disabled=at.counts >= at.vote):
            _do(lambda: rooms().show_counts(code, me))
        over = at.running or at.answer is not None
        if st.button("Second vote", icon=":material/how_to_vote:", disabled=over or at.vote == 2):
            _do(lambda: rooms().vote_again(code, me))
        closed = not at.open and at.answer is None
        runs = closed and not ready and not at.running
        if st.button("Run once for all", icon=":material/play_arrow:", type=_main(runs), disabled=over or ready):
            _do(lambda: rooms().run(code, me))
        shows = closed and ready
        if st.button("Show answer", icon=":material/lightbulb:", type=_main(shows), disabled=not shows):
            _do(lambda: _show_answer(room, lesson, asked))
    if at.answer is None:
        st.caption("Showing counts, running and showing the answer each close the vote, and can't be taken back.")
    else:
        st.caption("Answered. The question after this one is offered below.")


def _main(usual: bool) -> Literal["primary", "secondary"]:
    return "primary" if usual else "secondary"


def _show_answer(room: Room, lesson: Lesson, asked: Round) -> None:
    gathered = evidence(room, lesson, asked)
    if gathered is None:
        raise Refusal("The engine has not run this yet.")
    machine = ENGINE_ROOM.about.machine if ENGINE_ROOM.about else ""
    rooms().show_answer(room.code, learner(), asked.key(gathered), machine)


def _run(room: Room, lesson: Lesson, asked: Round) -> None:
    common_run(room, lesson, asked)
    begun = gathering(room, lesson, asked)
    if begun is None:
        return
    if begun.stopped:
        if st.button("Run again", icon=":material/replay:"):
            begun.resume()
            st.rerun()
    elif st.button("Cancel the run", icon=":material/stop:"):
        begun.stop()
        st.rerun()


def _pace(room: Room) -> None:
    me, code = learner(), room.code
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Timer", width="content")
        for name, seconds in TIMERS_S.items():
            if st.button(name, key=f"timer {name}"):
                _do(lambda seconds=seconds: rooms().set_timer(code, me, seconds))  # type: ignore[misc]
        free = room.pace == "free"
        label = "Bring all back to the question" if free else "Let all roam freely"
        if st.button(label, icon=":material/group:" if free else ":material/explore:"):
            _do(lambda: rooms().set_pace(code, me, "step" if free else "free"))


# ---- the next question


def _ask(room: Room) -> None:
    st.subheader("Ask a question", anchor=False)
    course = all_lessons()
    if not course:
        st.info("There are no lessons here.")
        return
    at = room.question
    lesson_at, asked_at = _after(course, at)
    key = f"{room.code} {at.lesson if at else ''} {at.round if at else ''}"  # offers what comes after the last one
    lesson = st.selectbox(
        "Lesson", course, lesson_at, format_func=lambda one: f"{one.number}. {one.title}", key=f"{key} lesson"
    )
    asked = st.selectbox(
        "Question",
        lesson.rounds,
        asked_at if lesson.slug == course[lesson_at].slug else 0,
        format_func=lambda one: one.asks,
        key=f"{key} {lesson.slug} round",
    )
    setting = 0.0
    if asked.knob is not None:
        label = asked.knob.label.capitalize()
        setting = st.radio(f"{label}, for everybody", asked.knob.values, format_func=asked.knob.words, horizontal=True)
    if st.button("Ask this", type=_main(at is None or at.answer is not None), icon=":material/campaign:"):
        _do(lambda: rooms().ask(room.code, learner(), lesson.slug, asked.name, setting))


def _after(course: Sequence[Lesson], at: Question | None) -> tuple[int, int]:
    """Where the course goes on: a lesson and a question of it."""
    places = [(n, m) for n, lesson in enumerate(course) for m in range(len(lesson.rounds))]
    names = [(lesson.slug, one.name) for lesson in course for one in lesson.rounds]
    asked = (at.lesson, at.round) if at else None
    return places[min(names.index(asked) + 1, len(places) - 1)] if asked in names else places[0]


# ---- what is kept


def _keep(room: Room) -> None:
    me, code = learner(), room.code
    st.subheader("Votes and members", anchor=False)
    _members(code)
    with st.container(horizontal=True):
        for name, written in {"CSV": as_csv, "JSONL": as_jsonl}.items():
            st.download_button(
                f"Export ({name})",
                lambda written=written: written(rooms().ballots(code, me)),  # type: ignore[misc]  # as of the click
                f"class-{code}.{name.lower()}",
                {"CSV": "text/csv", "JSONL": "application/jsonl"}[name],
                icon=":material/download:",
                on_click="ignore",  # a rerun takes away the file that it has just made
            )
        if st.button("Reset", icon=":material/restart_alt:"):
            _confirm(room, "reset")
        if st.button("Delete all", icon=":material/delete:"):
            _confirm(room, "delete")


@st.fragment(run_every=2.0)
def _members(code: str) -> None:
    """The list stays as open as it was, so its label stays the same."""
    members, ballots = rooms().members(code, learner()), rooms().ballots(code, learner())
    here = sum(here for *_, here in members)
    st.markdown(f"{here} here, {len(members) - here} left, {len(ballots)} votes")
    with st.expander("Who they are"):
        for number, nickname, here in members:
            st.markdown(f"{number}. {plain(nickname) or '(no nickname)'}{'' if here else ' · left'}")
        if not members:
            st.markdown("Nobody yet.")


@st.dialog("Are you sure?")
def _confirm(room: Room, what: str) -> None:
    said = {
        "reset": "All votes and questions of this class are gone for good. Members stay.",
        "delete": "The class, its members and its votes are gone for good.",
    }
    st.markdown(f"{said[what]} Learners' own books keep their own guesses.")
    if st.button("Yes, do it", type="primary"):
        act = rooms().reset if what == "reset" else rooms().delete
        forget_runs(room)
        _do(lambda: act(room.code, learner()))
