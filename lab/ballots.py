"""What a class said: counted, as a chart with before and after, and as files to take home."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import plotly.graph_objects as go

from lab.amounts import amount, ticks
from lab.reveal import GUESS, MEASURED, Table
from lab.room import Ballot
from lessons.book import Guess
from lessons.keys import Key, Value
from lessons.question import Answer, Choice

VOTES = ("first vote", "second vote")
COLOURS = (GUESS, MEASURED)
LINEAR_BINS = 8


def bins(answer: Answer) -> list[str]:
    """What votes are counted by: the options, or ranges of the number. They follow from the question alone. A curve is
    counted by its last point."""
    if isinstance(answer, Choice):
        return list(answer.options.values())
    edges = _edges(answer)
    return [f"{amount(low)} to {amount(high, answer.unit)}" for low, high in pairwise(edges)]


def bin_of(answer: Answer, value: Value) -> int:
    if isinstance(answer, Choice):
        return list(answer.options).index(str(value))
    edges, point = _edges(answer), float(value[-1])
    inner = edges[1:-1]
    return sum(point >= edge for edge in inner)


def tally(answer: Answer, guesses: Sequence[Guess]) -> list[int]:
    """How many in each of the bins."""
    counts = Counter(bin_of(answer, guess.value) for guess in guesses)
    return [counts[n] for n in range(len(bins(answer)))]


def _edges(answer: Answer) -> list[float]:
    assert not isinstance(answer, Choice)
    low, high = answer.low, answer.high
    if answer.log and low > 0:
        return [low, *(tick for tick in ticks(low, high) if low < tick < high), high]
    return [low + (high - low) * n / LINEAR_BINS for n in range(LINEAR_BINS + 1)]


# ---- to look at


def tally_figure(answer: Answer, votes: Sequence[Sequence[Guess]], key: Key | None, size: int = 14) -> go.Figure:
    """Bars for each vote; the measured one is marked once there is a `key`. `size`: of the letters, in pixels."""
    names, figure = _marked(answer, key), go.Figure()
    for name, colour, guesses in zip(VOTES, COLOURS, votes, strict=False):
        counts = tally(answer, guesses)
        figure.add_bar(
            x=counts,
            y=names,
            orientation="h",
            name=name,
            text=[str(count) if count else "" for count in counts],
            textposition="outside",
            cliponaxis=False,
            marker={"color": colour, "pattern": {"shape": "/" if name == VOTES[1] else ""}},
            hovertemplate="%{y}: %{x}<extra>" + name + "</extra>",
        )
    most = max((max(tally(answer, guesses)) for guesses in votes), default=1)
    figure.update_xaxes(visible=False, range=[0, most * 1.12 + 0.3])
    figure.update_yaxes(automargin=True, autorange="reversed", showgrid=False, tickfont={"size": size})
    figure.update_layout(
        height=round(size * (2.6 + 1.1 * len(votes)) * len(names) * 0.8 + 4 * size),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        font={"size": size},
        dragmode=False,
        showlegend=len(votes) > 1,
        legend={
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "traceorder": "normal",
            "font": {"size": size},
        },
        bargap=0.25,
    )
    return figure


def tally_table(answer: Answer, votes: Sequence[Sequence[Guess]], key: Key | None) -> Table:
    """The same."""
    columns = zip(VOTES, votes, strict=False)
    counted = {name.capitalize(): [str(count) for count in tally(answer, guesses)] for name, guesses in columns}
    return {"Guess": _marked(answer, key), **counted}


def tally_alt(answer: Answer, votes: Sequence[Sequence[Guess]], key: Key | None) -> str:
    names = _marked(answer, key)
    said = []
    for name, guesses in zip(VOTES, votes, strict=False):
        counted = [f"{label} {n}" for label, n in zip(names, tally(answer, guesses), strict=True) if n]
        said.append(f"{name}: {', '.join(counted) or 'nobody'}")
    return "How the class voted. " + "; ".join(said) + "."


def _marked(answer: Answer, key: Key | None) -> list[str]:
    names = bins(answer)
    if key is not None and (not isinstance(answer, Choice) or key.value in answer.options):
        names[bin_of(answer, key.value)] += "  ◀ measured"
    return names


# ---- to take home


def as_jsonl(ballots: Sequence[Ballot]) -> bytes:
    return b"".join(msgspec.json.encode(one) + b"\n" for one in ballots)


def as_csv(ballots: Sequence[Ballot]) -> bytes:
    """For spreadsheets. A cell that begins with = + - or @ would be a formula there; what people wrote stays text."""
    text = io.StringIO()
    write = csv.writer(text).writerow
    write(("room", "lesson", "round", "vote", "learner", "nickname", "guess", "confidence", "reason", "setting", "at"))
    for one in ballots:
        guess = one.guess
        value = guess.value if isinstance(guess.value, str) else " ".join(f"{point:g}" for point in guess.value)
        who = (one.number, one.nickname)
        what = (value, guess.confidence, _cell(guess.reason), f"{guess.setting:g}")
        write((one.room, one.lesson, one.round, one.vote, *who, *what, one.at))
    return text.getvalue().encode()


def _cell(said: str) -> str:
    return f"'{said}" if said.startswith(("=", "+", "-", "@", "\t", "\r")) else said
