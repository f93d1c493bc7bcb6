"""What decided the runs, as HTML on their own seconds: what was in prep or on the pass, and what each order got.

Where the question was how long that lasted, guess and measurement lie on the same axis, and the repeats as marks.
"""

from collections.abc import Iterator
from html import escape

from engine.stall import in_seconds
from lab.course.chart_html import Scale, table_html
from lab.course.tables import Table
from lab.course.view import Reveal
from lab.scene.decisive import Decisive
from lab.ui.axes import even_ticks
from lessons.lesson import Round
from lessons.question import Number

SECONDS = {"s": 1.0, "ms": 1e-3}  # by the unit of a question
SAME = 0.02  # of what was measured: it is this stall
ROOM_FOR_WORDS, ROOM_FOR_NUMBER = 22.0, 9.0  # percent of the axis


def moments_html(asked: Round, found: Reveal) -> str:
    """Empty if no answer stood still."""
    return "".join(_figure(asked, found, run) for run in found.moments)


def _figure(asked: Round, found: Reveal, run: Decisive) -> str:
    caption = f"<p><small>{escape(run.title)}</small><br><strong>{escape(run.says)}</strong></p>"
    if not run.waited:
        return caption
    drawn = "".join([*_asked(asked, found, run), *_rows(run)])
    folded = f"<details><summary>As a table</summary>{table_html(_table(run))}</details>"
    return f'{caption}<div class="ch mo" role="img" aria-label="{escape(run.says)}">{drawn}</div>{folded}'


def _table(run: Decisive) -> Table:
    waits = [(one.order, *stall) for one in run.waited for stall in one.stalls]
    return {
        "Order": [order for order, _, _ in waits],
        "No token from, s": [f"{since:.2f}" for _, since, _ in waits],
        "until, s": [f"{until:.2f}" for _, _, until in waits],
        "for": [in_seconds(until - since) for _, since, until in waits],
    }


# ---- rows


def _asked(asked: Round, found: Reveal, run: Decisive) -> Iterator[str]:
    """Guess and measurement, each from the moment of the last token."""
    key = found.chart.key
    if key is None or not isinstance(asked.answer, Number) or (unit := SECONDS.get(asked.answer.unit)) is None:
        return
    if abs(float(key.value[0]) * unit - run.longest_s) > SAME * run.longest_s:
        return
    scale, begin = Scale(run.begin, run.end, False), run.last_token
    if (guess := found.chart.guess) is not None:
        said_s = float(guess[0]) * unit
        yield _row("you said", _bar(scale, begin, begin + said_s, "said") + _after(scale, begin + said_s, said_s))
    repeats = "".join(_mark(scale, begin + end * unit) for end in (key.low[0], key.high[0]))
    measured = _bar(scale, begin, begin + run.longest_s, "still", in_seconds(run.longest_s))
    yield _row(found.chart.how, measured + repeats)


def _rows(run: Decisive) -> Iterator[str]:
    scale = Scale(run.begin, run.end, False)
    shadow = _bar(scale, *run.shadow, "shadow") if run.shadow else ""
    kind = "pass" if run.where == "the pass" else "prep"
    work = (_bar(scale, one.since, one.until, kind, f"{one.whose}: {one.what}") for one in run.work)
    yield _row(run.where, shadow + "".join(work))
    for one in run.waited:
        ticks = "".join(f"M{scale(t)} 0V1" for t in one.tokens)
        tokens = f'<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><path d="{ticks}"/></svg>'
        still = (_bar(scale, since, until, "still", in_seconds(until - since)) for since, until in one.stalls)
        yield _row(f"order {one.order}", shadow + tokens + "".join(still))
    yield '<div class="ch-row"><span></span><div class="ch-axis">'
    marks = even_ticks(run.begin, run.end)[:: 1 if run.end - run.begin > 1 else 2]
    yield "".join(f'<span style="left:{scale(mark)}%">{mark:g} s</span>' for mark in marks if mark >= run.begin)
    yield "</div><span></span><div class='ch-unit'>seconds of the run; a tick is a token</div></div>"


def _row(name: str, inside: str) -> str:
    return f'<div class="ch-row"><b>{escape(name)}</b><div class="ch-track">{inside}</div></div>'


def _bar(scale: Scale, since: float, until: float, kind: str, says: str = "") -> str:
    """As far as it lies in what is shown, with its words inside if there is room."""
    left, right = (min(100.0, max(0.0, scale(t))) for t in (since, until))
    if right <= left:
        return ""
    room = ROOM_FOR_NUMBER if kind == "still" else ROOM_FOR_WORDS
    words = f"<span>{escape(says)}</span>" if says and right - left >= room else ""
    return f'<i class="mo-{kind}" style="left:{left:.2f}%;width:{right - left:.2f}%">{words}</i>'


def _mark(scale: Scale, t: float) -> str:
    at = scale(t)
    return f'<i class="ch-repeat" style="left:{at}%"></i>' if 0 <= at <= 100 else ""


def _after(scale: Scale, t: float, seconds: float) -> str:
    at = scale(t)
    place = ("", at) if at <= 70 else (" inside", min(100.0, at))
    return f'<span class="ch-says{place[0]}" style="left:{place[1]}%"><span>{in_seconds(seconds)}</span></span>'
