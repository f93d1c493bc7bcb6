"""Figures and tables after the run: guess and measurement on one axis, and the lesson's own view of the evidence."""

from collections.abc import Mapping, Sequence
from math import log10
from statistics import median
from typing import Any

import plotly.graph_objects as go

from lab.ui.formatting import amount, in_words, spread, ticks
from lessons.keys import Key, Value
from lessons.question import Answer, Bars, Choice, Curve, Lines, Number

# at least 3:1 against both a white and a near-black page; shape and words tell them apart too
GUESS, MEASURED = "#d95f02", "#1a8f74"
SERIES = ("#1a8f74", "#9467bd", "#d95f02", "#3a87c8", "#b8860b")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up")
Table = dict[str, list[str]]
Trace = Mapping[str, Any]


def guess_figure(answer: Number | Curve, guess: Value, key: Key, how: str = "measured") -> go.Figure:
    """`how` the key came about."""
    assert not isinstance(guess, str)
    assert not isinstance(key.value, str)
    if isinstance(answer, Curve):
        return _curve_figure(answer, guess, key, how)
    return _number_figure(answer, guess[0], key, how)


def guess_table(answer: Answer, guess: Value, key: Key, how: str = "measured") -> Table:
    """The same as a table; a choice has no figure."""
    if isinstance(answer, Choice):
        names = list(answer.options)
        return {
            "Answer": [answer.options[name] for name in names],
            "You": ["your guess" if name == guess else "" for name in names],
            how.capitalize(): [how if name == key.value else "" for name in names],
        }
    assert not isinstance(guess, str)
    assert not isinstance(key.value, str)
    ranges = [f"{amount(low)} to {amount(high)}" for low, high in zip(key.low, key.high, strict=True)]
    unit = f", {answer.unit}" if answer.unit else ""
    places = {answer.x_label: [amount(x) for x in answer.x]} if isinstance(answer, Curve) else {}
    return places | {
        f"Your guess{unit}": [amount(value) for value in guess],
        f"{how.capitalize()}{unit}": [amount(value) for value in key.value],
        "Range of the repeats": ranges,
    }


def guess_alt(answer: Answer, guess: Value, key: Key, how: str = "measured") -> str:
    between = spread(answer, key)
    over = f", over the repeats {between}" if between else ""
    return f"Your guess: {in_words(answer, guess)}. {how.capitalize()}: {in_words(answer, key.value)}{over}."


def _number_figure(answer: Number, guess: float, key: Key, how: str) -> go.Figure:
    """One axis: a flag at the guess, a dot at the measured value with the range of its repeats."""
    log = answer.log and answer.low > 0 and guess > 0 and min(key.low) > 0
    value, low, high = float(key.value[0]), key.low[0], key.high[0]
    error = {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low], "width": 9}
    traces: list[Trace] = [
        {"x": [answer.low, answer.high], "y": [0, 0], "mode": "markers", "marker": {"opacity": 0}, "hoverinfo": "skip"},
        {
            "x": [value],
            "y": [0],
            "mode": "markers+text",
            "text": [f"{how} {amount(value, answer.unit)}"],
            "textposition": "bottom center",
            "error_x": error,
            "marker": {"color": MEASURED, "size": 16},
        },
        {
            "x": [guess, guess],
            "y": [0, 1],
            "mode": "lines",
            "line": {"color": GUESS, "width": 3},
            "hoverinfo": "skip",
        },
        {
            "x": [guess],
            "y": [1],
            "mode": "markers+text",
            "text": [f"you {amount(guess, answer.unit)}"],
            "textposition": "top center",
            "marker": {"color": GUESS, "size": 15, "symbol": "triangle-down"},
        },
    ]
    ends = (answer.low, answer.high, low, high)
    scale = log_ticks(ends) if log else {"range": _span(ends, log=False)}
    repeats = "the dot is the median of the repeats, the line their range" if low < high else ""
    title = ": ".join(part for part in (answer.unit, repeats) if part)
    across = _axis(title, showgrid=True, zeroline=False, **scale)
    return _figure(traces, across, _axis(visible=False, range=[-0.8, 1.7], fixedrange=True), 210)


def _span(values: Sequence[float], log: bool) -> tuple[float, float]:
    """From the least to the greatest value, with room for labels at both ends."""
    low, high = min(values), max(values)
    if log:
        pad = (high / low) ** 0.08
        return low / pad, high * pad
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


def log_ticks(values: Sequence[float]) -> dict[str, object]:
    """A logarithmic axis over these values, with readable numbers at all ticks."""
    low, high = _span(values, log=True)
    if high / low < 1.6:
        low, high = low / 1.3, high * 1.3
    marks = ticks(low, high)
    return {
        "type": "log",
        "range": [log10(low), log10(high)],
        "tickvals": marks,
        "ticktext": [amount(mark) for mark in marks],
    }


def _curve_figure(answer: Curve, guess: Sequence[float], key: Key, how: str) -> go.Figure:
    values = [float(value) for value in key.value]
    up = [high - value for high, value in zip(key.high, values, strict=True)]
    down = [value - low for low, value in zip(key.low, values, strict=True)]
    traces: list[Trace] = [
        {
            "x": answer.x,
            "y": list(guess),
            "mode": "lines+markers",
            "name": "your guess",
            "line": {"color": GUESS, "width": 2.5, "dash": "dash"},
            "marker": {"size": 10, "symbol": "diamond"},
        },
        {
            "x": answer.x,
            "y": values,
            "mode": "lines+markers",
            "name": how,
            "line": {"color": MEASURED, "width": 2.5},
            "marker": {"size": 10},
            "error_y": {"type": "data", "symmetric": False, "array": up, "arrayminus": down},
        },
    ]
    label, drawn = _with_unit(answer.y_label, answer.unit), [*guess, *key.low, *key.high]
    across, upward = _axes(answer.x_label, answer.x, answer.log_x, label, drawn, answer.log and min(drawn) > 0)
    across |= {"tickvals": list(answer.x), "ticktext": [amount(x) for x in answer.x]}
    return _figure(traces, across, upward, 360, legend=True)


def view_figure(view: Bars | Lines) -> go.Figure:
    return _bars(view) if isinstance(view, Bars) else _lines(view)


def _bars(view: Bars) -> go.Figure:
    """The median, and a small mark for each repeat; bars only on linear axes, which start at zero. Numbers are in the
    labels."""
    labels, values = list(view.values), list(view.values.values())
    middles = [median(repeats) for repeats in values]
    colours = [SERIES[n % len(SERIES)] for n in range(len(labels))]
    middle: Trace = (
        {"x": middles, "y": labels, "mode": "markers", "marker": {"color": colours, "size": 15}}
        if view.log
        else {"type": "bar", "x": middles, "y": labels, "orientation": "h", "marker": {"color": colours}}
    )
    marks = {"symbol": "line-ns-open", "size": 15, "color": "#808a94", "line": {"width": 2}}
    repeated: list[Trace] = [
        {"x": repeats, "y": [label] * len(repeats), "mode": "markers", "marker": marks, "hovertemplate": "%{x:.3g}"}
        for label, repeats in view.values.items()
    ]
    every = [value for repeats in values for value in repeats]
    scale = log_ticks(every) if view.log and min(every) > 0 else {"rangemode": "tozero"}
    across = _axis(f"{view.unit}: the median, and a mark for each repeat", **scale)
    named = [f"{label}<br><b>{amount(middle, view.unit)}</b>" for label, middle in zip(labels, middles, strict=True)]
    down = _axis(type="category", autorange="reversed", automargin=True, tickvals=labels, ticktext=named)
    return _figure([middle, *repeated], across, down, 90 + 66 * len(labels), bargap=0.5)


def _lines(view: Lines) -> go.Figure:
    traces: list[Trace] = []
    for n, (name, points) in enumerate(view.points.items()):
        x, y = zip(*points, strict=True) if points else ((), ())
        looks = {"size": 9, "symbol": SYMBOLS[n % len(SYMBOLS)]}
        line = {"color": SERIES[n % len(SERIES)], "width": 2}
        mode = "lines+markers" if len(points) > 1 else "markers"
        traces.append({"x": x, "y": y, "name": name, "mode": mode, "marker": looks, "line": line})
    for n, (name, points) in enumerate(view.limits.items()):
        x, y = zip(*points, strict=True)
        line = {"color": "#808a94", "width": 2, "dash": ("dash", "dot", "dashdot")[n % 3]}
        traces.append({"x": x, "y": y, "name": name, "mode": "lines", "line": line})
    drawn = [point for points in _series(view).values() for point in points]
    log = view.log and bool(drawn) and min(min(point) for point in drawn) > 0
    axes = _axes(view.x_label, [x for x, _ in drawn], log, view.y_label, [y for _, y in drawn], log)
    return _figure(traces, *axes, 380, legend=True)


def view_alt(view: Bars | Lines) -> str:
    if isinstance(view, Bars):
        says = [f"{label}: {amount(median(repeats), view.unit)}" for label, repeats in view.values.items()]
        return "Measured: " + "; ".join(says) + "."
    return f"{view.y_label} against {view.x_label}. " + " ".join(
        f"{name}: from {amount(points[0][1])} at {amount(points[0][0])} to {amount(points[-1][1])} at "
        f"{amount(points[-1][0])}."
        for name, points in view.points.items()
        if points
    )


def view_table(view: Bars | Lines) -> Table:
    if isinstance(view, Bars):
        return {
            "": list(view.values),
            f"Median, {view.unit}": [amount(median(repeats)) for repeats in view.values.values()],
            "Repeats": [", ".join(amount(value) for value in repeats) for repeats in view.values.values()],
        }
    rows = [(name, x, y) for name, points in _series(view).items() for x, y in points]
    return {
        "": [name for name, _, _ in rows],
        view.x_label: [amount(x) for _, x, _ in rows],
        view.y_label: [amount(y) for _, _, y in rows],
    }


def _series(view: Lines) -> Mapping[str, Sequence[tuple[float, float]]]:
    return {**view.points, **view.limits}


def _with_unit(label: str, unit: str) -> str:
    return label if not unit or unit in label else f"{label}, {unit}"


def _axes(
    x: str, xs: Sequence[float], log_x: bool, y: str, ys: Sequence[float], log_y: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    across = _axis(x, **(log_ticks(xs) if log_x else {}))
    return across, _axis(y, automargin=True, **(log_ticks(ys) if log_y else {"rangemode": "tozero"}))


def _axis(title: str = "", **more: Any) -> dict[str, Any]:
    return {"title": {"text": title or None, "font": {"size": 14}}, "tickfont": {"size": 13}, **more}


def _figure(
    traces: Sequence[Trace], x: Trace, y: Trace, height: int, *, legend: bool = False, **layout: object
) -> go.Figure:
    """The figure, made at once: each later change costs Plotly milliseconds, and a class asks for sixty figures at
    the same time."""
    drawn = [
        trace if "type" in trace else {"type": "scatter", "cliponaxis": False, "textfont": {"size": 14}, **trace}
        for trace in traces
    ]
    looks = {
        "height": height,
        "font": {"size": 14},
        "showlegend": legend,
        "legend": {"orientation": "h", "y": 1.12, "x": 0},
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "dragmode": False,
        "xaxis": x,
        "yaxis": y,
    }
    return go.Figure({"data": drawn, "layout": looks | layout})
