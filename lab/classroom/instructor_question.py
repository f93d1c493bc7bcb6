"""The instructor's page, the class's question: how many have voted, what is shown when, pace and timer."""

import streamlit as st

from lab.classroom.actions import MOST_SEED
from lab.classroom.service import Classroom, following, topic
from lab.classroom.store import ClassQuestion, Refusal, Room
from lab.classroom.tally import bins, counted, tally
from lab.classroom.view import attempt, emphasis, follow, how_made
from lab.course import gathering_feed
from lab.scene.component import scene
from lab.ui.formatting import asked_words, measured_words
from lab.ui.learner import learner
from lessons import all_lessons
from lessons.keys import Unclear
from lessons.lesson import Lesson, Round

TIMERS_S = {"1 min": 60, "2 min": 120, "5 min": 300, "none": 0}


def now(classroom: Classroom, room: Room) -> None:
    """The question at hand, what the class does with it, and the buttons for what comes next."""
    me, at = learner(), room.question
    found = topic(at) if at else None
    with st.container(border=True, key="now"):
        if at is None or found is None:
            st.subheader("No question yet", anchor=False)
            follow(classroom, room)
            return
        lesson, asked = found
        st.caption(f"Lesson {lesson.number} · {lesson.title} · {_where(room, at)}")
        st.subheader(asked.asks, anchor=False)
        follow(classroom, room)
        if at.answer is not None:
            how = "Computed" if asked.computed else "Measured"
            st.markdown(f"**{how}: {measured_words(asked.answer, at.answer.value)}**")
            how_made(at.made)
        _steps(classroom, room, at, lesson, asked)
        if at.running and at.answer is None:
            _run(classroom, room, lesson, asked)
        timer_and_pace(classroom, room)
        if st.toggle("Let me see the votes here (nobody else does)", key="peek"):
            every = classroom.actions.ballots(room.code, me)
            mine = [one for one in every if (one.lesson, one.round) == (at.lesson, at.round)]
            votes = [[one.guess for one in mine if one.vote == vote] for vote in (1, 2)]
            columns = {f"Vote {n}": [str(count) for count in tally(asked.answer, votes[n - 1])] for n in (1, 2)}
            st.table({counted(asked.answer): bins(asked.answer), **columns}, border="horizontal")


def _where(room: Room, at: ClassQuestion) -> str:
    if room.pace == "free":
        return "free roam"
    if at.answer is not None:
        return "answer shown"
    if at.running:
        return "the run, vote closed"
    return f"{'first' if at.vote == 1 else 'second'} vote {'open' if at.open else 'closed'}"


def _steps(classroom: Classroom, room: Room, at: ClassQuestion, lesson: Lesson, asked: Round) -> None:
    """The buttons in the order of a lesson: a vote alone, its counts to talk over, a second vote, the run, the answer,
    the next question. The next one stands out. What has been shown can't be undone."""
    me, code, actions = learner(), room.code, classroom.actions
    ready = classroom.evidence(room, lesson, asked) is not None
    over = at.running or at.answer is not None
    if ready and at.running and at.answer is None:
        classroom.known(room, lesson, asked)  # while nobody waits for it: soon all pages do
    talked = not over and at.vote == 1 and at.counts == 1
    shows = not at.open and at.answer is None and ready
    with st.container(horizontal=True, vertical_alignment="bottom"):
        counts = at.open and (at.vote == 1 or ready)
        if st.button("Show counts", icon=":material/bar_chart:", type=emphasis(counts), disabled=at.counts >= at.vote):
            attempt(lambda: actions.show_counts(code, me))
        if st.button("Second vote", icon=":material/how_to_vote:", type=emphasis(talked), disabled=not talked):
            attempt(lambda: actions.vote_again(code, me))
        runs = not over and not ready and at.vote == 2
        seed = at.seed if over or ready or not asked.has_runs else _seed(code, at)
        if st.button("Run once for all", icon=":material/play_arrow:", type=emphasis(runs), disabled=over or ready):
            attempt(lambda: actions.run(code, me, seed))
        answers = shows and (at.running or at.vote == 2)
        if st.button("Show answer", icon=":material/lightbulb:", type=emphasis(answers), disabled=not shows):
            attempt(lambda: _show_answer(classroom, room, lesson, asked))
        if at.answer is not None and (after := following(all_lessons(), at)) is not None:
            next_question(classroom, room, *after, usual=True)
    if at.answer is None:
        st.caption("Showing the counts, running and showing the answer each close the vote and can't be undone.")


def next_question(classroom: Classroom, room: Room, lesson: Lesson, asked: Round, *, usual: bool) -> None:
    """One press to what comes next; any other question, and any other setting, is asked below."""
    setting = asked.knob.values[0] if asked.knob else 0.0
    says = asked_words(asked, setting)
    if st.button("Next question", icon=":material/arrow_forward:", type=emphasis(usual), help=says):
        attempt(lambda: classroom.actions.ask(room.code, learner(), lesson.slug, asked.name, setting))


def _seed(code: str, at: ClassQuestion) -> int:
    """Of the class's run: the same seed gives the same orders at the same times."""
    says = f"Of the first repeat; each further repeat adds 1. From 0 to {MOST_SEED:,}; 0 is the lesson's own."
    return int(
        st.number_input(
            "Seed of the run", 0, MOST_SEED, 0, key=f"{code} {at.lesson} {at.round} seed", help=says, width=160
        )
    )


def _show_answer(classroom: Classroom, room: Room, lesson: Lesson, asked: Round) -> None:
    gathered = classroom.evidence(room, lesson, asked)
    if gathered is None:
        raise Refusal("The engine has not run this yet.")
    found = asked.finding(gathered)
    if isinstance(found, Unclear):
        raise Refusal(f"This machine could not tell. {found.why} Run it again.")
    classroom.actions.show_answer(room.code, learner(), found, classroom.engine.machine_name, gathered.made)


def _run(classroom: Classroom, room: Room, lesson: Lesson, asked: Round) -> None:
    begun = classroom.gathering(room, lesson, asked)
    if begun and (spec := gathering_feed.kitchen(begun)):  # the same for all viewers, and nobody can change it
        scene({"kitchens": [spec], "can": []})
    if begun is None:
        if found := classroom.evidence(room, lesson, asked):
            how_made(found.made)
        if asked.has_runs and st.button("Run it again", icon=":material/replay:"):
            classroom.run_again(room, lesson, asked)
            st.rerun()
    elif begun.stopped:
        if st.button("Run again", icon=":material/replay:"):
            begun.resume()
            st.rerun()
    elif st.button("Cancel the run", icon=":material/stop:"):
        begun.stop()
        st.rerun()


def timer_and_pace(classroom: Classroom, room: Room) -> None:
    """Buttons for both, whatever the class is at."""
    me, code, actions = learner(), room.code, classroom.actions
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Timer", width="content")
        for name, seconds in TIMERS_S.items():
            if st.button(name, key=f"timer {name}"):
                attempt(lambda seconds=seconds: actions.set_timer(code, me, seconds))  # type: ignore[misc]
        free = room.pace == "free" or (room.pace == "play" and room.question is not None)
        label = "Bring all back to the question" if free else "Let all roam freely"
        if st.button(label, icon=":material/group:" if free else ":material/explore:"):
            attempt(lambda: actions.set_pace(code, me, "step" if free else "free"))
