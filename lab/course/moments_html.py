"""What decided the runs, as HTML on their own seconds: what was in prep or on the pass, and what each order got.

Where the question was how long that lasted, guess and measurement lie on the same axis, and the repeats as marks. Three
stills hang on the seconds of the run that the question is about, or of the one that stood still for longest.
"""

from collections.abc import Iterator
from html import escape

from engine.stall import in_seconds
from lab.course.chart_html import Scale, table_html
from lab.course.once import OnceFor
from lab.course.stills_html import leads_html, lines_html, stills, stills_html
from lab.course.tables import Table
from lab.course.view import Reveal
from lab.scene.decisive import Decisive
from lab.ui.axes import even_ticks
from lessons.lesson import Round
from lessons.question import Number

SECONDS = {"s": 1.0, "ms": 1e-3}  # by the unit of a question
SAME = 0.02  # of what was measured: it is this stall
ROOM_FOR_WORDS, ROOM_FOR_NUMBER = 22.0, 9.0  # percent of the axis


def moments_html(asked: Round, found: Reveal, at: str = "") -> str:
    """Empty if no answer stood still. `at`: below which address a page finds what the stills are drawn from; "" to have
    that in the HTML, for a page that belongs to nobody else."""
    hangs = max(found.moments, key=lambda run: (_unit_s(asked, found, run) is not None, run.longest_s), default=None)
    return "".join(_figure(asked, found, run, at, hangs=run is hangs) for run in found.moments)


def _figure(asked: Round, found: Reveal, run: Decisive, at: str, *, hangs: bool) -> str:
    caption = f"<p><small>{escape(run.title)}</small><br><strong>{escape(run.says)}</strong></p>"
    if not run.waited:
        return caption
    scale = Scale(run.begin, run.end, False)
    above = lines = ""
    if hangs and run.hung is not None:
        shown = stills(run, run.hung, _said(asked, found, run))
        above, lines = stills_html(run.hung, shown, at) + leads_html(shown, scale), lines_html(shown, scale)
    rows, axis, folded = _happened(run)
    drawn = f'<div class="mo-rows">{lines}{"".join(_asked(asked, found, run, scale))}{rows}</div>{axis}'
    figure = f'{above}<div class="ch mo" role="img" aria-label="{escape(run.says)}">{drawn}</div>'
    return f'{caption}<div class="mo-hung">{figure}</div>{folded}'


def _drawn(run: Decisive) -> tuple[str, str, str]:
    """What is the same for everybody: the rows of the run, its seconds, and its table."""
    scale = Scale(run.begin, run.end, False)
    folded = f"<details><summary>As a table</summary>{table_html(_table(run))}</details>"
    return "".join(_rows(run, scale)), _seconds(run, scale), folded


_happened = OnceFor(_drawn)


def _table(run: Decisive) -> Table:
    waits = [(one.order, *stall) for one in run.waited for stall in one.stalls]
    return {
        "Order": [order for order, _, _ in waits],
        "No token from, s": [f"{since:.2f}" for _, since, _ in waits],
        "until, s": [f"{until:.2f}" for _, _, until in waits],
        "for": [in_seconds(until - since) for _, since, until in waits],
    }


# ---- rows


def _unit_s(asked: Round, found: Reveal, run: Decisive) -> float | None:
    """The seconds of the question's unit, if it asks how long this run's longest stall was."""
    key = found.chart.key
    if key is None or not isinstance(asked.answer, Number) or (unit_s := SECONDS.get(asked.answer.unit)) is None:
        return None
    return unit_s if abs(float(key.value[0]) * unit_s - run.longest_s) <= SAME * run.longest_s else None


def _said(asked: Round, found: Reveal, run: Decisive) -> float | None:
    """When the learner has thought that it would go on, in seconds of the run; None if that was not asked."""
    unit_s, guess = _unit_s(asked, found, run), found.chart.guess
    return None if unit_s is None or guess is None else run.last_token + float(guess[0]) * unit_s


def _asked(asked: Round, found: Reveal, run: Decisive, scale: Scale) -> Iterator[str]:
    """Guess and measurement, each from the moment of the last token."""
    unit_s, key, begin = _unit_s(asked, found, run), found.chart.key, run.last_token
    if unit_s is None or key is None:
        return
    if (said := _said(asked, found, run)) is not None:
        yield _row("you said", _bar(scale, begin, said, "said") + _after(scale, said, said - begin))
    repeats = "".join(_mark(scale, begin + float(end) * unit_s) for end in (key.low[0], key.high[0]))
    measured = _bar(scale, begin, begin + run.longest_s, "still", in_seconds(run.longest_s))
    yield _row(found.chart.how, measured + repeats)


def _rows(run: Decisive, scale: Scale) -> Iterator[str]:
    shadow = _bar(scale, *run.shadow, "shadow") if run.shadow else ""
    kind = "pass" if run.where == "the pass" else "prep"
    work = (_bar(scale, one.since, one.until, kind, f"{one.whose}: {one.what}") for one in run.work)
    yield _row(run.where, shadow + "".join(work))
    for one in run.waited:
        ticks = "".join(f"M{scale(t)} 0V1" for t in one.tokens)
        tokens = f'<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><path d="{ticks}"/></svg>'
        still = (_bar(scale, since, until, "still", in_seconds(until - since)) for since, until in one.stalls)
        yield _row(f"order {one.order}", shadow + tokens + "".join(still))


def _seconds(run: Decisive, scale: Scale) -> str:
    marks = even_ticks(run.begin, run.end)[:: 1 if run.end - run.begin > 1 else 2]
    ticks = "".join(f'<span style="left:{scale(mark)}%">{mark:g} s</span>' for mark in marks if mark >= run.begin)
    unit = "<span></span><div class='ch-unit'>seconds of the run; a tick is a token</div>"
    return f'<div class="ch-row"><span></span><div class="ch-axis">{ticks}</div>{unit}</div>'


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
    says = in_seconds(seconds) + (" →" if at > 100 else "")
    return f'<span class="ch-says{place[0]}" style="left:{place[1]}%"><span>{says}</span></span>'
