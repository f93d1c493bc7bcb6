"""The instructor's page, the question that the class is at: how many have voted, what is shown when, pace and timer."""

import streamlit as st

from lab.classroom.actions import MOST_SEED
from lab.classroom.service import evidence, gathering, rooms, run_again, topic
from lab.classroom.store import Question, Refusal, Room
from lab.classroom.tally import bins, counted, tally
from lab.classroom.view import answer_words, attempt, common_run, emphasis, follow, how_made
from lab.runs.engine_client import ENGINE_ROOM
from lab.ui.learner import learner
from lessons.lesson import Lesson, Round

TIMERS_S = {"1 min": 60, "2 min": 120, "5 min": 300, "none": 0}


def now(room: Room) -> None:
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
            how_made(at.made)
        _steps(room, at, lesson, asked)
        if at.running and at.answer is None:
            _run(room, lesson, asked)
        _pace(room)
        if st.toggle("Let me see the votes here (nobody else does)", key="peek"):
            mine = [one for one in rooms().ballots(room.code, me) if (one.lesson, one.round) == (at.lesson, at.round)]
            votes = [[one.guess for one in mine if one.vote == vote] for vote in (1, 2)]
            columns = {f"Vote {n}": [str(count) for count in tally(asked.answer, votes[n - 1])] for n in (1, 2)}
            st.table({counted(asked.answer): bins(asked.answer), **columns}, border="horizontal")


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
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button("Show counts", icon=":material/bar_chart:", type=emphasis(at.open), disabled=at.counts >= at.vote):
            attempt(lambda: rooms().show_counts(code, me))
        over = at.running or at.answer is not None
        if st.button("Second vote", icon=":material/how_to_vote:", disabled=over or at.vote == 2):
            attempt(lambda: rooms().vote_again(code, me))
        closed = not at.open and at.answer is None
        runs = closed and not ready and not at.running
        seed = at.seed if over or ready or not asked.has_runs else _seed(code, at)
        if st.button("Run once for all", icon=":material/play_arrow:", type=emphasis(runs), disabled=over or ready):
            attempt(lambda: rooms().run(code, me, seed))
        shows = closed and ready
        if st.button("Show answer", icon=":material/lightbulb:", type=emphasis(shows), disabled=not shows):
            attempt(lambda: _show_answer(room, lesson, asked))
    if at.answer is None:
        st.caption("Showing counts, running and showing the answer each close the vote, and can't be taken back.")
    else:
        st.caption("Answered. The question after this one is offered below.")


def _seed(code: str, at: Question) -> int:
    """Of the run for all: with the same one, the same orders come at the same moments."""
    says = f"Of the first repeat; the others have those after it. From 0 to {MOST_SEED:,}; with 0, the lesson's own."
    return int(
        st.number_input(
            "Seed of the run", 0, MOST_SEED, 0, key=f"{code} {at.lesson} {at.round} seed", help=says, width=160
        )
    )


def _show_answer(room: Room, lesson: Lesson, asked: Round) -> None:
    gathered = evidence(room, lesson, asked)
    if gathered is None:
        raise Refusal("The engine has not run this yet.")
    machine = ENGINE_ROOM.about.machine if ENGINE_ROOM.about else ""
    rooms().show_answer(room.code, learner(), asked.key(gathered), machine, gathered.made)


def _run(room: Room, lesson: Lesson, asked: Round) -> None:
    common_run(room, lesson, asked)
    begun = gathering(room, lesson, asked)
    if begun is None:
        if asked.has_runs and st.button("Run it again", icon=":material/replay:"):
            run_again(room, lesson, asked)
            st.rerun()
    elif begun.stopped:
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
                attempt(lambda seconds=seconds: rooms().set_timer(code, me, seconds))  # type: ignore[misc]
        free = room.pace == "free"
        label = "Bring all back to the question" if free else "Let all roam freely"
        if st.button(label, icon=":material/group:" if free else ":material/explore:"):
            attempt(lambda: rooms().set_pace(code, me, "step" if free else "free"))
