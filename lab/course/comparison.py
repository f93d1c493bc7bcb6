"""A `RoundView` in Streamlit: what stands around the guess, and guess and measurement on one axis."""

from typing import Literal

import streamlit as st

from lab.course.chart_html import STYLE, drawn_html
from lab.course.known import Chart, Tested
from lab.course.moments_html import moments_html
from lab.course.round_html import cook_html
from lab.course.view import Locked, Reveal, RoundView, Untold
from lab.scene.bundle import SCENE_AT
from lab.ui.formatting import ICONS, plain
from lab.ui.js_component import component
from lessons.lesson import Lesson, Round
from lessons.words import table as all_words

_markup = component("markup", css=STYLE)


def opening(view: RoundView, *, first: bool) -> None:
    """A lesson's opening: open in its first round, folded in the others."""
    if first:
        before, words, after = view.opening.partition(all_words())  # a dozen rows are for looking up, not for reading
        st.markdown(before)
        if words:
            with st.expander("Glossary: every word, in three languages"):
                st.markdown(words + after)
    elif view.opening:
        with st.expander("What to know first"):
            st.markdown(view.opening)


def locked(own: Locked) -> None:
    """What was guessed, how sure, when and why."""
    knob = f" · {own.knob}" if own.knob else ""
    st.markdown(f":material/lock: **Your guess: {own.value}** · {own.confidence}{knob} · locked {own.at}")
    if own.reason:
        st.caption(f"Because: {plain(own.reason)}")


def reveal(lesson: Lesson, asked: Round, found: Reveal) -> None:
    """Guess, measurement and explanation; without evidence there is no explanation, and no other chart."""
    with st.container(key="arrive"):
        icon = f"{ICONS[found.word]} " if found.word else ""
        st.subheader(f"{icon}{found.headline}", anchor=False)
    drawn(asked, found.chart, "guess")
    if found.unclear:
        st.info(f"Your result stays as it was measured first. The runs at hand could not tell: {found.unclear}")
    if found.explains:
        st.markdown(found.explains)
        if found.one_of > 1:
            st.caption("These are the numbers of one run, the one that has the measured value.")
    if found.shows is not None:
        drawn(asked, found.shows, "view")
    if found.moments:
        _markup(data={"html": moments_html(asked, found), "module": SCENE_AT}, key="chart moments")
    if found.cook is not None:
        _markup(data={"html": cook_html(found.cook, lesson.slug)}, key="as cook")
    for claim in found.claims:
        st.markdown(_tested(claim))
    if found.made:
        st.caption(found.made)
    with st.expander("What this shows and what it does not"):
        st.markdown(found.limits)
        if found.noise:
            st.markdown(found.noise)


def untold(asked: Round, found: Untold) -> None:
    """No verdict: why, and what the runs show nevertheless."""
    st.subheader(":material/question_mark: This machine could not tell", anchor=False)
    st.markdown(
        f"{found.why} Your guess stays locked and is not scored. "
        "Close what else runs on this machine and run it again, now or later."
    )
    if found.shows is not None:
        drawn(asked, found.shows, "view")
    if found.made:
        st.caption(found.made)


def drawn(asked: Round, chart: Chart, key: Literal["guess", "view"]) -> None:
    """A chart of HTML and CSS; `key` keeps two of one page apart."""
    _markup(data={"html": drawn_html(asked, chart)}, key=f"chart {key}")


def _tested(claim: Tested) -> str:
    if claim.holds is None:
        return f":material/question_mark: **Your repeats disagree:** {claim.says}"
    if claim.holds:
        return f":material/check: **Holds {claim.where}:** {claim.says}"
    return f":material/close: **Not so {claim.where}:** {claim.says}"
