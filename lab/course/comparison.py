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
from lessons.keys import Unclear
from lessons.lesson import Claim, Lesson, Round
from lessons.question import Choice
from lessons.words import table as all_words


def opening(lesson: Lesson, *, first: bool) -> None:
    text = lesson.text("Opening")
    if first:
        before, words, after = text.partition(all_words())  # a dozen rows are for looking up, not for reading first
        st.markdown(before)
        if words:
            with st.expander("Glossary: every word, in three languages"):
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
    how = "computed" if asked.computed else "measured"
    table = guess_table(answer, guess, key, how)
    if isinstance(answer, Choice):
        st.table(table, border="horizontal")
    else:
        st.plotly_chart(
            guess_figure(answer, guess, key, how), key="guess", alt=guess_alt(answer, guess, key, how), config=STILL
        )
        _as_table(table)
    if evidence is not None:
        _explain(lesson, asked, entry, outcome, evidence)
    if made is not None and not asked.computed:
        st.caption(made_words(made))
    _limits(lesson, asked, outcome)


def _as_table(table: Table) -> None:
    with st.expander("As a table"):
        st.table(table, border="horizontal")


def _explain(lesson: Lesson, asked: Round, entry: Entry, outcome: Outcome, evidence: Evidence) -> None:
    """The lesson's own words around the learner's own numbers."""
    answer, guess, found = asked.answer, entry.guess.value, asked.finding(evidence)
    if isinstance(found, Unclear):
        st.info(f"Your result stays as it was measured first. The runs at hand could not tell: {found.why}")
    else:
        words = {
            "guess": in_words(answer, guess),
            "measured": in_words(answer, found.value),
            "times": times(answer, guess, found, outcome.verdict),
        }
        st.markdown(lesson.answer(asked, evidence, found, words))
        if len(evidence.repeats) > 1:
            st.caption("These are the numbers of one run, the one in the middle of all repeats.")
    seen(asked, evidence)
    where = "in the computation" if asked.computed else "on your runs"
    for claim in lesson.claims:
        if claim.about == asked.name:
            st.markdown(_tested(claim, claim.holds(evidence), where))


def seen(asked: Round, evidence: Evidence) -> None:
    """What else the evidence shows, as far as it does."""
    if (view := asked.shown(evidence)) is not None:
        st.plotly_chart(view_figure(view), key="view", alt=view_alt(view), config=STILL)
        _as_table(view_table(view))


def _tested(claim: Claim, holds: bool | None, where: str) -> str:
    if holds is None:
        return f":material/question_mark: **Your repeats disagree:** {claim.says}"
    if holds:
        return f":material/check: **Holds {where}:** {claim.says}"
    return f":material/close: **Not so {where}:** {claim.otherwise or claim.says}"


def unclear(asked: Round, found: Unclear, evidence: Evidence) -> None:
    """No verdict: why, and what the runs show nevertheless."""
    st.subheader(":material/question_mark: This machine could not tell", anchor=False)
    st.markdown(
        f"{found.why} Your guess stays locked and is not scored. "
        "Close what else runs on this machine and run it again, now or later."
    )
    seen(asked, evidence)
    if evidence.made is not None:
        st.caption(made_words(evidence.made))


def _limits(lesson: Lesson, asked: Round, outcome: Outcome) -> None:
    with st.expander("What this shows and what it does not"):
        st.markdown(lesson.text("Limits"))
        between = spread(asked.answer, outcome.key)
        noise = f" Over {asked.repeats} repeats it was {between}." if between else ""
        if not asked.computed:
            st.markdown(f"Measured on {outcome.machine or 'this machine'}.{noise}")
