"""How guesses get better: confidence against being right, error over time, and all guesses to export or delete."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt

import plotly.graph_objects as go
import streamlit as st

from engine.units import amount, percent
from lab.course.evidence_store import EvidenceStore
from lab.course.tables import Table
from lab.ui.axes import GUESS, MEASURED, SHARES, log_ticks
from lab.ui.downloads import download
from lab.ui.formatting import asked_words, in_words
from lab.ui.learner import Books, learner, remembered
from lab.ui.style import READING, STILL, style
from lessons import lesson as lesson_of
from lessons.book import Book, Entry
from lessons.lesson import Round
from lessons.question import CONFIDENCES

FEWEST = 4  # guesses at one level: fewer say next to nothing
Z = 1.645  # 90 %, two-sided


def page(books: Books, evidence: EvidenceStore, to_lessons: Callable[[], None]) -> None:
    """One's own guesses: how close, how well calibrated, and their export."""
    style(READING)
    st.title("Progress", anchor=False)
    book = books.mine()
    entries = book.entries()
    if not remembered():
        st.warning("This browser keeps no cookie for this page: your guesses are lost when it is closed. Export them.")
    if not entries:
        st.markdown("Nothing here yet. Lock a guess in a lesson, and this page shows how your guesses get better.")
        if st.button("To the lessons", type="primary", icon=":material/school:"):
            to_lessons()
        return
    settled = [entry for entry in entries if entry.outcome]
    if settled:
        _calibration(settled)
        _errors(settled)
    _list(entries)
    _yours(book, evidence)


def _calibration(settled: Sequence[Entry]) -> None:
    st.subheader("Do you know when you know?", anchor=False)
    counts = {sure: [entry for entry in settled if entry.guess.confidence == sure] for sure in CONFIDENCES}
    right = {sure: sum(_word(entry) == "right" for entry in said) for sure, said in counts.items()}
    shares = [right[sure] / len(said) if said else 0.0 for sure, said in counts.items()]
    words = [f"{right[sure]} of {len(said)} right" if said else "none yet" for sure, said in counts.items()]
    figure = go.Figure()
    figure.add_bar(
        x=shares, y=list(counts), orientation="h", text=words, textposition="outside", marker={"color": MEASURED}
    )
    figure.update_xaxes(range=[0, 1.3], **SHARES, title="share that was right")
    figure.update_yaxes(automargin=True, autorange="reversed")
    figure.update_layout(height=230, margin={"l": 10, "r": 10, "t": 10, "b": 10}, dragmode=False)
    alt = "; ".join(f"{sure}: {said}" for sure, said in zip(counts, words, strict=True))
    st.plotly_chart(figure, key="calibration", alt=f"Share of right guesses by confidence. {alt}.", config=STILL)
    st.caption(calibration_words({sure: (right[sure], len(said)) for sure, said in counts.items()}))


def calibration_words(right_of: Mapping[str, tuple[int, int]]) -> str:
    """Whether those who say that they are surer are right more often, from (right, all) by confidence; or that too
    little is known to tell: the 90 % intervals of the least and the most sure overlap."""
    spans = [(sure, wilson(right, all_)) for sure, (right, all_) in right_of.items() if all_ >= FEWEST]
    if len(spans) < 2:
        return f"Too little to tell yet: it takes {FEWEST} measured guesses at two levels of confidence."
    (less, (low, below)), (more, (above, high)) = spans[0], spans[-1]
    if above > below:
        return f"When you say “{more}” you are right more often than when you say “{less}”: you know when you know."
    if high < low:
        return (
            f"When you say “{more}” you are right less often than when you say “{less}”. Be less sure, or look again."
        )
    of_less, of_more = (f"{percent(least)} to {percent(most)}" for least, most in ((low, below), (above, high)))
    said = f"“{less}”: right {of_less} of the time; “{more}”: {of_more}"
    return f"Too little to tell whether you are right more often when you are surer ({said}, with 90 % confidence)."


def wilson(right: int, of: int) -> tuple[float, float]:
    """The interval in which the true share lies, with 90 % confidence (Wilson's, sound for few guesses)."""
    share, spread = right / of, Z * Z / of
    centre = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def _errors(settled: Sequence[Entry]) -> None:
    measured = [
        (n, entry) for n, entry in enumerate(settled, start=1) if entry.outcome and entry.outcome.verdict.off_by
    ]
    if len(measured) < 2:
        return
    st.subheader("How far off, guess by guess", anchor=False)
    off = [entry.outcome.verdict.off_by for _, entry in measured if entry.outcome]
    figure = go.Figure()
    figure.add_scatter(
        x=[n for n, _ in measured],
        y=off,
        mode="lines+markers",
        line={"color": GUESS, "width": 2},
        marker={"size": 10},
        text=[_asks(entry) for _, entry in measured],
        hovertemplate="%{text}<br>off by a factor of %{y:.2g}<extra></extra>",
    )
    figure.update_yaxes(title="off by a factor of", automargin=True, **log_ticks([1.0, *off]))
    last = measured[-1][0]
    figure.update_xaxes(title="guess", range=[0.5, last + 0.5], dtick=max(1, round(last / 10)))
    figure.update_layout(height=280, margin={"l": 10, "r": 10, "t": 10, "b": 10}, dragmode=False)
    alt = "Times off, guess by guess: " + ", ".join(map(amount, off)) + ". 1 is exact."
    st.plotly_chart(figure, key="errors", alt=alt, config=STILL)


def _list(entries: Sequence[Entry]) -> None:
    st.subheader("All your guesses", anchor=False)
    rows: Table = {"Question": [], "You": [], "Found": [], "Verdict": []}
    for entry in reversed(entries):
        asked, outcome = _round(entry), entry.outcome
        rows["Question"].append(asked_words(asked, entry.guess.setting) if asked else _asks(entry))
        rows["You"].append(
            (in_words(asked.answer, entry.guess.value) if asked else str(entry.guess.value))
            + f" ({entry.guess.confidence})"
        )
        known = asked is not None and outcome is not None
        rows["Found"].append(
            in_words(asked.answer, outcome.key.value) if known and asked and outcome else "no verdict yet"
        )
        rows["Verdict"].append(_word(entry).capitalize())
    st.table(rows, border="horizontal")


def _yours(book: Book, evidence: EvidenceStore) -> None:
    st.subheader("Yours to export or delete", anchor=False)
    st.markdown("Guesses are kept in this lab only, under a random name in your browser's cookie.")
    with st.container(horizontal=True):
        download("Export (JSONL)", "guesses.jsonl", book.export())
        if st.button("Delete everything", icon=":material/delete:"):
            _confirm(book, evidence)


@st.dialog("Delete all your guesses?")
def _confirm(book: Book, evidence: EvidenceStore) -> None:
    st.markdown("Guesses, outcomes and evidence are deleted for good, and every lesson starts from its first question.")
    with st.container(horizontal=True):
        if st.button("Yes, delete", type="primary"):
            book.forget()
            evidence.forget(learner())
            for key in list(st.session_state):
                if key != "learner":
                    del st.session_state[key]
            st.rerun()
        if st.button("Keep them"):
            st.rerun()


def _word(entry: Entry) -> str:
    return entry.outcome.verdict.word if entry.outcome else ""


def _round(entry: Entry) -> Round | None:
    """None for a lesson that no longer exists."""
    found = lesson_of(entry.lesson)
    return next((one for one in found.rounds if one.name == entry.round), None) if found else None


def _asks(entry: Entry) -> str:
    asked = _round(entry)
    return asked.asks if asked else f"{entry.lesson}: {entry.round}"
