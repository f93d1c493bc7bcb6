"""A chart of what would change a verdict: for each input, a line from its value to the nearest one that changes it.

Inputs have different units, so the axis is the factor by which each has to change.
"""

from math import log10
from typing import NamedTuple

import plotly.graph_objects as go

from engine.fleet.advisor.advice import Advice, Flip
from engine.fleet.advisor.plan import SAID
from engine.fleet.advisor.sensitivity import FARTHEST
from engine.fleet.catalog.hardware import fabric
from engine.units import amount

NAMES = {
    "rate_per_s": ("Orders per second", "/s", 1.0),
    "isl_tokens": ("Prompt", "tokens", 1.0),
    "osl_tokens": ("Answer", "tokens", 1.0),
    "itl_slo_s": ("ITL target", "ms", 1e3),
    "ttft_slo_s": ("TTFT target", "ms", 1e3),
    "prefix_reuse": ("Prefix reuse", "%", 100.0),
    "fabric": ("Fabric", "GB/s", 1e-9),
}
GREY, TURNED, HERE = "#808a94", "#d95f02", "#0072b2"
TICKS = (1 / 64, 1 / 16, 1 / 4, 1, 4, 16, 64)
ROW = 46  # pixels


class Row(NamedTuple):
    """`factor` None: no value within range changes the verdict."""

    label: str
    factor: float | None


def rows(advice: Advice) -> list[Row]:
    """One row per input, the smallest change on top. With a trace, only prefix reuse and fabric are varied."""
    made = [_row(field, advice) for field in NAMES if not advice.question.trace or field in ("prefix_reuse", "fabric")]
    return sorted(made, key=lambda row: (row.factor is None, _distance(row.factor)))


def flips_figure(advice: Advice) -> go.Figure:
    """The chart of `rows(advice)`, on a logarithmic axis of factors."""
    figure, lines = go.Figure(), rows(advice)
    for n, row in enumerate(lines):
        if row.factor is not None:
            line = {"color": GREY, "width": 2}
            figure.add_scatter(x=[1, row.factor], y=[n, n], mode="lines", line=line, showlegend=False, hoverinfo="skip")
    now, turned = list(range(len(lines))), [n for n, row in enumerate(lines) if row.factor is not None]
    figure.add_scatter(
        x=[1] * len(now), y=now, mode="markers", name="now", marker={"color": HERE, "size": 9, "symbol": "circle"}
    )
    figure.add_scatter(
        x=[lines[n].factor for n in turned],
        y=turned,
        mode="markers",
        name=f"becomes: {next((SAID[flip.verdict] for flip in advice.flips), '')}",
        marker={"color": TURNED, "size": 11, "symbol": "diamond"},
    )
    most = max([4.0, *(1.6 * _distance(row.factor) for row in lines if row.factor is not None)])
    shown = [tick for tick in TICKS if 1 / most <= tick <= most]
    figure.update_xaxes(
        type="log",
        range=[-log10(most), log10(most)],
        tickvals=shown,
        ticktext=[f"×{tick:g}" if tick >= 1 else f"÷{1 / tick:g}" for tick in shown],
    )
    figure.update_yaxes(
        tickvals=now,
        ticktext=[row.label for row in lines],
        range=[len(lines) - 0.5, -0.5],
        automargin=True,
        showgrid=False,
    )
    figure.update_layout(
        height=ROW * len(lines) + 80,
        margin={"l": 4, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def flips_alt(advice: Advice) -> str:
    """The chart in words, for screen readers."""
    near = [row for row in rows(advice) if row.factor is not None]
    if not near:
        return "No single input changes the verdict."
    changes = "; ".join(row.label.replace("<br>", " ") for row in near)
    return f"What changes the verdict, the smallest change first: {changes}."


def _row(field: str, advice: Advice) -> Row:
    name, unit, scale = NAMES[field]
    flips = [flip for flip in advice.flips if flip.input == field]
    if not flips:
        now = "" if field == "fabric" else f"{amount(scale * float(getattr(advice.question, field)))} {unit}: "
        return Row(f"{name}<br>{now}no change does", None)
    flip, factor = min(((flip, _factor(flip)) for flip in flips), key=lambda pair: _distance(pair[1]))
    before, after = _values(flip)
    return Row(f"{name}<br>{amount(scale * before)} → {amount(scale * after)} {unit}", factor)


def _values(flip: Flip) -> tuple[float, float]:
    """Before and after; a fabric counts as the bandwidth that handoffs reach."""
    if flip.input == "fabric":
        return (fabric(str(flip.now)).achieved_bytes_per_s, fabric(str(flip.at)).achieved_bytes_per_s)
    return float(flip.now), float(flip.at)


def _factor(flip: Flip) -> float:
    """For prefix reuse, the factor of the uncached part, which has to be computed: 0 % has no multiple."""
    before, after = _values(flip)
    factor = (1 - after) / (1 - before) if flip.input == "prefix_reuse" else after / before
    return min(FARTHEST, max(1 / FARTHEST, factor))


def _distance(factor: float | None) -> float:
    return max(factor, 1 / factor) if factor else 1.0
