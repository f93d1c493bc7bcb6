"""A chart as HTML without scripts: the same in a lesson, in a class and in a notebook.

Positions are percentages and letters are letters, so that a chart is as readable on a phone as on a wall. Only lines
are SVG, stretched to their box. Whoever does not see it has the chart's sentence and its table.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import log10
from typing import NamedTuple

from engine.units import amount
from lab.course.known import Chart
from lab.course.tables import Table
from lab.ui.assets import asset
from lab.ui.axes import GUESS, LIMIT, MEASURED, SERIES, even_ticks, span
from lab.ui.formatting import ticks
from lessons.keys import Key
from lessons.lesson import Round
from lessons.question import Answer, Bars, Choice, Curve, Lines, Number

ROOM = 62.0  # percent of a row; a number fits into what is left
FAR = 30.0  # guess and measurement on a linear axis, unless they differ by more than that
SHAPES = ("circle", "square", "diamond", "up", "down")
STYLE = asset("chart.css")


def chart_html(answer: Answer, chart: Chart) -> str:
    """The figure, or for a choice its table, which has all there is."""
    drawn: Iterator[str]
    match chart.shows, answer:
        case Bars() as bars, _:
            drawn = _bars(bars)
        case Lines() as lines, _:
            drawn = _lines(lines)
        case _, Number() as number if chart.key is not None:
            drawn = _amounts(number, _one(chart.guess), chart.key, chart.how)
        case _, Curve() as curve if chart.key is not None:
            drawn = _curve(curve, chart, chart.key)
        case _:
            return table_html(chart.table)
    return f'<div class="ch" role="img" aria-label="{escape(chart.alt)}">{"".join(drawn)}</div>'


def drawn_html(asked: Round, chart: Chart) -> str:
    """The chart, and its numbers one press away."""
    if chart.shows is None and isinstance(asked.answer, Choice):
        return table_html(chart.table)
    folded = f"<details><summary>As a table</summary>{table_html(chart.table)}</details>"
    return chart_html(asked.answer, chart) + folded


def table_html(table: Table) -> str:
    """The table as HTML that scrolls sideways where it is too wide."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in zip(*table.values(), strict=True)
    )
    inside = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="ch-wide"><table class="ch-table">{inside}</table></div>'


def scatter_html(points: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str, alt: str) -> str:
    """A mark for each point, on logarithmic axes, told apart by colour and shape; up to five kinds."""
    marks = [_Line(name, of, SERIES[n], "", SHAPES[n]) for n, (name, of) in enumerate(points.items())]
    drawn = "".join(_plot(marks, x_label, y_label, True, True, joined=False))
    return f'<div class="ch" role="img" aria-label="{escape(alt)}">{drawn}</div>'


# ---- scales


class Scale(NamedTuple):
    """Where a value lies, in percent."""

    low: float
    high: float
    log: bool

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return 50.0
        if not self.log:
            return round(100 * (value - self.low) / (self.high - self.low), 2)
        return round(100 * log10(max(value, self.low) / self.low) / log10(self.high / self.low), 2)

    def ticks(self, most: int = 7) -> list[float]:
        marks = ticks(self.low, self.high) if self.log else even_ticks(self.low, self.high)
        return marks[:: -(-len(marks) // most)]


def _scale(values: Sequence[float], log: bool, zero: bool = True) -> Scale:
    """`zero`: a linear one begins there, as the bars on it do."""
    if log and min(values) > 0:
        return Scale(*span(values, log=True), True)
    low, high = min(values), max(values)
    if zero:
        return Scale(min(0.0, low), high * 1.06 or 1.0, False)
    return Scale(*span(values, log=False), False)


def _axis(scale: Scale, unit: str) -> Iterator[str]:
    yield '<div class="ch-row"><span></span><div class="ch-axis">'
    yield "".join(f'<span style="left:{scale(mark)}%">{amount(mark)}</span>' for mark in scale.ticks())
    yield f'</div><span></span><div class="ch-unit">{escape(unit)}</div></div>'


def _row(name: str, says: str, inside: str, first: float, last: float) -> str:
    """A line of a chart: its name, what is drawn between `first` and `last` percent, and its number: after it, before
    it, or, where neither has room, over its end."""
    after = last <= ROOM
    at = last if after or first < 100 - ROOM else first
    place = "" if after else " inside"
    label = f'<span class="ch-says{place}" style="left:{at}%"><span>{escape(says)}</span></span>'
    return f'<div class="ch-row"><b>{escape(name)}</b><div class="ch-track">{inside}{label}</div></div>'


# ---- kinds


def _one(value: object) -> float | None:
    return float(value[0]) if isinstance(value, tuple) else None


def _amounts(answer: Number, guess: float | None, key: Key, how: str) -> Iterator[str]:
    """The guess hollow, what was measured solid, on one axis in the question's own unit."""
    value, low, high = float(key.value[0]), key.low[0], key.high[0]
    drawn = [one for one in (guess, value, low, high) if one is not None]
    far = min(drawn) > 0 and max(drawn) / min(drawn) > FAR
    scale = _scale(drawn, log=far)
    if guess is not None:
        yield _row("you said", amount(guess, answer.unit), _length(scale, guess, "hollow"), scale(guess), scale(guess))
    ends = scale(low), scale(high)
    spread = f'<i class="ch-range" style="left:{ends[0]}%;width:{ends[1] - ends[0]:.2f}%"></i>' if low < high else ""
    first, last = min(scale(value), ends[0]), max(scale(value), ends[1])
    yield _row(how, amount(value, answer.unit), _length(scale, value, "") + spread, first, last)
    repeats = "the thin line is the range of the repeats that count" if low < high else ""
    yield from _axis(scale, "; ".join(filter(None, (answer.unit, repeats))))


def _length(scale: Scale, value: float, kind: str) -> str:
    """A bar where the axis begins at zero; a logarithmic one has no such place."""
    if scale.log:
        return f'<i class="ch-dot {kind}" style="left:{scale(value)}%"></i>'
    return f'<i class="ch-bar {kind}" style="width:{scale(value)}%"></i>'


def _bars(view: Bars) -> Iterator[str]:
    """The repeat of the answer, and a small mark for each."""
    scale = _scale([value for repeats in view.values.values() for value in repeats], view.log)
    for label, shown in view.shown().items():
        repeats = view.values[label]
        marks = "".join(f'<i class="ch-repeat" style="left:{scale(value)}%"></i>' for value in repeats)
        ends = scale(min(repeats)), scale(max(repeats))
        yield _row(label, amount(shown, view.unit), _length(scale, shown, "") + marks, *ends)
    repeated = any(len(repeats) > 1 for repeats in view.values.values())
    yield from _axis(scale, f"{view.unit}: {view.which}, and a mark for each repeat" if repeated else view.unit)


class _Line(NamedTuple):
    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dash: str = ""
    shape: str = ""  # of its marks


def _curve(answer: Curve, chart: Chart, key: Key) -> Iterator[str]:
    label = answer.y_label if not answer.unit or answer.unit in answer.y_label else f"{answer.y_label}, {answer.unit}"
    lines = [_Line(chart.how, _pairs(answer.x, key.value), MEASURED, "", "circle")]
    if chart.guess is not None:
        lines.insert(0, _Line("your guess", _pairs(answer.x, chart.guess), GUESS, "7 5", "diamond"))
    ranges = [
        _Line("", ((x, low), (x, high)), MEASURED)
        for x, low, high in zip(answer.x, key.low, key.high, strict=True)
        if low < high
    ]
    yield from _plot(lines + ranges, answer.x_label, label, answer.log_x, answer.log, answer.x)


def _pairs(xs: Sequence[float], values: object) -> list[tuple[float, float]]:
    assert isinstance(values, tuple)
    return list(zip(xs, map(float, values), strict=True))


def _lines(view: Lines) -> Iterator[str]:
    lines = [
        _Line(name, points, SERIES[n % len(SERIES)], "", SHAPES[n % len(SHAPES)])
        for n, (name, points) in enumerate(view.points.items())
    ]
    limits = enumerate(view.limits.items())
    lines += [_Line(name, points, LIMIT, ("7 5", "2 5", "9 4 2 4")[n % 3]) for n, (name, points) in limits]
    run_at = {tuple(dict.fromkeys(x for x, _ in points)) for points in view.points.values()}
    marks = run_at.pop() if len(run_at) == 1 else ()  # each series at the same x, so these are what was chosen
    yield from _plot([line for line in lines if line.points], view.x_label, view.y_label, view.log, view.log, marks)


def _plot(
    lines: Sequence[_Line],
    x_label: str,
    y_label: str,
    log_x: bool,
    log_y: bool,
    marks: Sequence[float] = (),
    joined: bool = True,
) -> Iterator[str]:
    if not lines:
        return
    points = [point for line in lines for point in line.points]
    across, up = _scale([x for x, _ in points], log_x, zero=False), _scale([y for _, y in points], log_y)
    named = [line for line in lines if line.name]
    yield "<ul class='ch-legend'>"
    for line in named:
        dashed = f";border-top-style:{'dotted' if line.dash[0] == '2' else 'dashed'}" if line.dash else ""
        kind = "" if joined else f' class="ch-mark {line.shape}"'
        yield f'<li><i{kind} style="--colour:{line.colour}{dashed}"></i>{escape(line.name)}</li>'
    yield f'</ul><div class="ch-unit">{escape(y_label)}</div><div class="ch-plot"><div class="ch-down">'
    levels = up.ticks()
    yield "".join(f'<span style="bottom:{up(mark)}%">{amount(mark)}</span>' for mark in levels)
    yield '</div><div class="ch-field"><svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
    yield "".join(f'<path class="grid" d="M0 {100 - up(mark):.2f}H100"/>' for mark in levels)
    for line in lines if joined else ():
        way = "L".join(f"{across(x)} {100 - up(y):.2f}" for x, y in line.points)
        yield f'<path d="M{way}" style="--colour:{line.colour}" stroke-dasharray="{line.dash or "none"}"/>'
    yield "</svg>"
    for line in named:
        if line.shape:
            for x, y in line.points:
                place = f"left:{across(x)}%;bottom:{up(y)}%;--colour:{line.colour}"
                yield f'<i class="ch-mark {line.shape}" style="{place}"></i>'
    yield '</div><span></span><div class="ch-axis" style="margin-right:0">'
    yield "".join(f'<span style="left:{across(mark)}%">{amount(mark)}</span>' for mark in marks or across.ticks())
    yield f'</div><span></span><div class="ch-unit">{escape(x_label)}</div></div>'
