"""The instructor's page: a round of Be the cook that everybody plays, from its beginning to its end."""

import streamlit as st

from lab.classroom.cloud import says
from lab.classroom.cook_page import DISCUSS
from lab.classroom.games import ClassGame
from lab.classroom.instructor_question import next_question, timer_and_pace
from lab.classroom.service import Classroom, following
from lab.classroom.store import Room
from lab.classroom.view import attempt, follow
from lab.play.paces import Paces
from lab.play.par import frontier
from lab.play.puzzle import LEVELS, MOST_SEED, puzzle
from lab.ui.formatting import plain
from lab.ui.learner import learner
from lessons import all_lessons

DELETES = "Another round deletes the points of this one."


def now(classroom: Classroom, room: Room, game: ClassGame) -> None:
    """The round that the class is at, and the buttons for what comes next."""
    me, code, games = learner(), room.code, classroom.games
    with st.container(border=True, key="now"):
        level = game.puzzle.level
        st.caption(f"Be the cook · level {level.number}, {level.title.lower()} · orders number {game.puzzle.seed}")
        st.subheader("Everybody plays the same round" if game.on else "Where the class's rounds lie", anchor=False)
        follow(classroom, room)
        points = classroom.games.points(code)
        with st.container(horizontal=True):
            if game.on:
                if st.button("End the round", type="primary", icon=":material/flag:"):
                    with st.spinner("Looking for the best schedule"):
                        best = [one.score for one in frontier(game.puzzle)]
                    attempt(lambda: games.end(code, me, best))
            elif offered := sorted(one.nickname for one in points.values() if one.nickname):
                if game.names:
                    if st.button("Take the names down", icon=":material/visibility_off:"):
                        attempt(lambda: games.show_names(code, me, shown=False))
                elif st.button("Show the names that are offered", icon=":material/badge:"):
                    attempt(lambda: games.show_names(code, me, shown=True))
                st.markdown(f"Offered: {plain(', '.join(offered))}")
        if game.on:
            st.caption(
                "The clock ends nothing by itself. At the end everybody sees all points and the best that was found."
            )
        else:
            st.markdown(plain(says(game, points.values())))
            _what_comes_next(classroom, room, game)
        timer_and_pace(classroom, room)


def _what_comes_next(classroom: Classroom, room: Room, game: ClassGame) -> None:
    """After the talk: the next round, or back to the questions."""
    level, seed = game.puzzle.level.number, game.puzzle.seed
    st.markdown(f"**Next.** {DISCUSS} Then let all play once more, or go on with a question.")
    with st.container(horizontal=True):
        if level < len(LEVELS):
            label, given = f"Let all play level {level + 1}", puzzle(level + 1, seed, game.puzzle.pace)
        else:
            label, given = "Let all play other orders", puzzle(level, seed % MOST_SEED + 1, game.puzzle.pace)
        if st.button(label, type="primary", icon=":material/skillet:", help=DELETES):
            attempt(lambda: classroom.games.begin(room.code, learner(), given))
        if st.button("The same round again", icon=":material/replay:", help=DELETES):
            attempt(lambda: classroom.games.begin(room.code, learner(), game.puzzle))
        answered = room.question is None or room.question.answer is not None
        if answered and (after := following(all_lessons(), room.question)) is not None:
            next_question(classroom, room, *after, usual=False)


def ask_to_play(classroom: Classroom, paces: Paces, room: Room) -> None:
    """Which round to play, and the way back to one that was played."""
    st.subheader("Be the cook, all together", anchor=False)
    game = classroom.games.of(room.code)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        level = st.selectbox("Level", LEVELS, format_func=lambda one: f"{one.number}. {one.title}", key="game level")
        seed = int(st.number_input("Orders number", 0, MOST_SEED, 1, key="game seed", width=160))
        pace = st.selectbox("Step times of", paces.offered(), format_func=lambda one: one.title, key="game pace")
        if st.button("Let all play", icon=":material/skillet:"):
            given = puzzle(level.number, seed, pace)
            paces.keep(given.pace)
            attempt(lambda: classroom.games.begin(room.code, learner(), given))
        if game is not None and room.pace != "play" and st.button("Back to the round", icon=":material/undo:"):
            attempt(lambda: classroom.games.show(room.code, learner()))
    if game is not None:
        st.caption(DELETES)
