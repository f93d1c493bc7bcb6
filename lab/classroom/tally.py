"""A class's votes: counted, as a table with bars for both votes, and as files to download."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from html import escape
from itertools import pairwise

import msgspec

from engine.units import amount
from lab.classroom.store import Ballot
from lab.ui.axes import GUESS, MEASURED
from lab.ui.formatting import ticks
from lessons.book import Guess
from lessons.keys import Key, Value
from lessons.question import Answer, Choice, Curve

VOTES = ("First vote", "Second vote")
LINEAR_BINS = 8


def bins(answer: Answer) -> list[str]:
    """The categories that votes are counted in: the options, or ranges of a number. They depend on the question alone.
    A curve is counted by its last point."""
    if isinstance(answer, Choice):
        return list(answer.options.values())
    edges = _edges(answer)
    return [f"{amount(low)} to {amount(high, answer.unit)}" for low, high in pairwise(edges)]


def counted(answer: Answer) -> str:
    """What is counted of a guess."""
    return f"Guess at {amount(answer.x[-1])} {answer.x_label}" if isinstance(answer, Curve) else "Guess"


def bin_of(answer: Answer, value: Value) -> int:
    """The index of the bin that a value counts in; a curve counts by its last point."""
    if isinstance(answer, Choice):
        return list(answer.options).index(str(value))
    edges, point = _edges(answer), float(value[-1])
    inner = edges[1:-1]
    return sum(point >= edge for edge in inner)


def tally(answer: Answer, guesses: Sequence[Guess]) -> list[int]:
    """How many guesses are in each bin."""
    counts = Counter(bin_of(answer, guess.value) for guess in guesses)
    return [counts[n] for n in range(len(bins(answer)))]


def _edges(answer: Answer) -> list[float]:
    assert not isinstance(answer, Choice)
    low, high = answer.low, answer.high
    if answer.log and low > 0:
        return [low, *(tick for tick in ticks(low, high) if low < tick < high), high]
    return [low + (high - low) * n / LINEAR_BINS for n in range(LINEAR_BINS + 1)]


# ---- as a table

STYLE = (
    f".tally {{ --first: {GUESS}; --second: {MEASURED}; }}"
    """
.tally { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.tally :is(th, td) { padding: .35em .5em; text-align: left; font-weight: 400; border: 0; }
.tally :is(thead th, b) { font-weight: 600; }
.tally th:first-child { padding-left: 0; }
.tally tbody th { width: 1%; min-width: 6.5em; }
.tally .measured { outline: 2px solid currentColor; outline-offset: -2px; border-radius: 6px; }
.tally .measured th:first-child { padding-left: .5em; font-weight: 700; }
.tally td > span { display: inline-block; height: 1.1em; margin-right: .4em; border-radius: 3px; vertical-align: -.15em;
  width: calc((100% - 2.5em) * var(--share)); background: var(--first); }
.tally td + td > span { background: repeating-linear-gradient(135deg, var(--second) 0 6px, transparent 6px 9px); }
"""
)


def tally_html(answer: Answer, votes: Sequence[Sequence[Guess]], key: Key | None) -> str:
    """An HTML table with bars behind its numbers; the measured row is marked once there is a `key`. Not Plotly: a whole
    class loads it at once, and Plotly's script has 4.7 MB."""
    columns = [tally(answer, guesses) for guesses in votes]
    most = max(max(column) for column in columns) or 1
    measured = None
    if key is not None and (not isinstance(answer, Choice) or key.value in answer.options):
        measured = bin_of(answer, key.value)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (counted(answer), *VOTES[: len(votes)]))
    rows = []
    for n, name in enumerate(bins(answer)):
        bars = (f'<span style="--share: {c[n] / most:.3f}"></span>' if c[n] else "" for c in columns)
        cells = "".join(f"<td>{bar}<b>{c[n]}</b></td>" for bar, c in zip(bars, columns, strict=True))
        row, mark = (' class="measured"', " <br>◀ measured") if n == measured else ("", "")
        rows.append(f'<tr{row}><th scope="row">{escape(name)}{mark}</th>{cells}</tr>')
    inside = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<table class="tally" aria-label="How the class voted">{inside}</table>'


# ---- as files


def as_jsonl(ballots: Sequence[Ballot]) -> bytes:
    """A line of JSON for each ballot, in UTF-8."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in ballots)


COLUMNS = [
    "room",
    "lesson",
    "round",
    "vote",
    "learner",
    "nickname",
    "guess",
    "confidence",
    "reason",
    "setting",
    "at",
    "seed",
    "measured",
    "verdict",
]


def as_csv(ballots: Sequence[Ballot]) -> bytes:
    """For spreadsheets, where a cell that begins with = + - or @ would be a formula: such text gets an apostrophe."""
    text = io.StringIO()
    write = csv.writer(text).writerow
    write(COLUMNS)
    for one in ballots:
        guess = one.guess
        said = (_value(guess.value), guess.confidence, _cell(guess.reason), f"{guess.setting:g}")
        found = ("" if one.measured is None else _value(one.measured), one.verdict)
        write((one.room, one.lesson, one.round, one.vote, one.number, one.nickname, *said, one.at, one.seed, *found))
    return text.getvalue().encode()


def _value(value: Value) -> str:
    return value if isinstance(value, str) else " ".join(f"{point:g}" for point in value)


def _cell(said: str) -> str:
    return f"'{said}" if said.startswith(("=", "+", "-", "@", "\t", "\r")) else said
