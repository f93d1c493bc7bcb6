"""What a question's page shows around the guess, in a lesson and in a class: what to know first, the locked guess, and
guess and measurement on one axis.
"""

from datetime import datetime

import streamlit as st

from lab.course.reveal import Table, guess_alt, guess_figure, guess_table, view_alt, view_figure, view_table
from lab.ui.formatting import ICONS, in_words, made_words, plain, spread, times, verdict
from lab.ui.style import STILL
from lessons.book import Entry, Outcome
from lessons.evidence import Evidence, Made
from lessons.lesson import Lesson, Round
from lessons.question import Choice
from lessons.words import table as all_words


def opening(lesson: Lesson, *, first: bool) -> None:
    text = lesson.text("Opening")
    if first:
        before, words, after = text.partition(all_words())  # a dozen rows are for looking up, not for reading first
        st.markdown(before)
        if words:
            with st.expander("All the words, in three languages"):
                st.markdown(words + after)
    elif text:
        with st.expander("What to know first"):
            st.markdown(text)


def locked(asked: Round, entry: Entry) -> None:
    guess = entry.guess
    knob = f" · {asked.knob.label}: {asked.knob.words(guess.setting)}" if asked.knob else ""
    when = f"{datetime.fromisoformat(entry.at):%d %b, %H:%M} UTC"
    said = f":material/lock: **Your guess: {in_words(asked.answer, guess.value)}** · {guess.confidence}{knob}"
    st.markdown(f"{said} · locked {when}")
    if guess.reason:
        st.caption(f"Because: {plain(guess.reason)}")


def comparison(
    lesson: Lesson, asked: Round, entry: Entry, outcome: Outcome, evidence: Evidence | None, made: Made | None
) -> None:
    """Guess, measurement and explanation. `evidence`: None if it is no longer in memory; then there are no charts."""
    answer, guess, key = asked.answer, entry.guess.value, outcome.key
    said = verdict(answer, guess, key, outcome.verdict)
    with st.container(key="arrive"):
        st.subheader(f"{ICONS[outcome.verdict.word]} {said}", anchor=False)
    table = guess_table(answer, guess, key)
    if isinstance(answer, Choice):
        st.table(table, border="horizontal")
    else:
        st.plotly_chart(guess_figure(answer, guess, key), key="guess", alt=guess_alt(answer, guess, key), config=STILL)
        _as_table(table)
    if evidence is not None:
        _explain(lesson, asked, entry, outcome, evidence)
    if made is not None:
        st.caption(made_words(made))
    _limits(lesson, asked, outcome)


def _as_table(table: Table) -> None:
    with st.expander("The same as a table"):
        st.table(table, border="horizontal")


def _explain(lesson: Lesson, asked: Round, entry: Entry, outcome: Outcome, evidence: Evidence) -> None:
    """The lesson's own words around the learner's own numbers."""
    answer, guess, key = asked.answer, entry.guess.value, outcome.key
    words = {
        **asked.numbers(evidence),
        "guess": in_words(answer, guess),
        "measured": in_words(answer, key.value),
        "times": times(answer, guess, key, outcome.verdict),
    }
    st.markdown(lesson.text(f"{asked.name} answer").format_map(words))
    if asked.repeats > 1:
        st.caption(
            "Each number is the median of its repeats: what is worked out from two of them need not fit exactly."
        )
    if asked.view:
        view = asked.view(evidence)
        st.plotly_chart(view_figure(view), key="view", alt=view_alt(view), config=STILL)
        _as_table(view_table(view))
    for claim in lesson.claims:
        if claim.about == asked.name:
            holds = claim.holds(evidence)
            mark = ":material/check: **Holds on your runs:**" if holds else ":material/close: **Not so on your runs:**"
            st.markdown(f"{mark} {claim.says}")


def _limits(lesson: Lesson, asked: Round, outcome: Outcome) -> None:
    with st.expander("What this shows and what it does not"):
        st.markdown(lesson.text("Limits"))
        between = spread(asked.answer, outcome.key)
        noise = f" Over {asked.repeats} repeats it was {between}." if between else ""
        st.markdown(f"Measured on {outcome.machine or 'this machine'}.{noise}")
