"""A chart of what each deployment sustains next to the asked rate: bars with the error of the simulated times."""

import plotly.graph_objects as go

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.trial import TrialResult
from engine.scenario import KINDS, Kind
from engine.units import amount, percent
from lab.clusters.names import WAYS
from lab.scene.words import LOOKS

ASKED = "#808a94"
ROW = 46  # pixels
MOST = 6  # bars


def shown(advice: Advice) -> list[TrialResult]:
    """The bars' candidates: the best of each kind, and the best of the rest; the highest rate first."""
    ranked = sorted(advice.tried, key=lambda one: -one.sustained_per_s)
    best = {_kind(one): one for one in reversed(ranked)}.values()
    first = [advice.chosen, *(one for one in best if one != advice.chosen)]
    others = [one for one in ranked if one not in first]
    return sorted([*first, *others][:MOST], key=lambda one: -one.sustained_per_s)


def capacity_figure(advice: Advice) -> go.Figure:
    """One bar per deployment in orders/s, and a line at the asked rate."""
    figure, bars = go.Figure(), shown(advice)
    for kind in KINDS:
        if not (mine := [one for one in bars if _kind(one) == kind]):
            continue
        figure.add_bar(
            x=[one.sustained_per_s for one in mine],
            y=[_label(one, advice) for one in mine],
            orientation="h",
            name=WAYS[kind],
            marker={"color": LOOKS[kind][0]},
            error_x={"type": "percent", "value": 100 * advice.error, "color": ASKED},
            text=["" if one.sustained_per_s else " misses a target at any rate" for one in mine],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,.3~r} orders/s<extra></extra>",
        )
    rate = advice.question.rate_per_s
    figure.add_vline(
        x=rate,
        line={"color": ASKED, "dash": "dash"},
        annotation_text=f"asked: {amount(rate)}",
        annotation_position="top right",
        annotation_yanchor="bottom",  # above the bars
    )
    figure.update_yaxes(categoryorder="array", categoryarray=[_label(one, advice) for one in reversed(bars)])
    figure.update_xaxes(title="orders/s within both targets", rangemode="tozero", title_standoff=24)
    figure.update_layout(
        height=168 + ROW * len(bars),
        margin={"l": 10, "r": 10, "t": 78, "b": 40},
        legend={"orientation": "h", "yref": "container", "yanchor": "top", "y": 1},
    )
    return figure


def capacity_alt(advice: Advice) -> str:
    """The chart in words, for screen readers."""
    said = [f"{one.candidate.label} sustains {amount(one.sustained_per_s)} orders/s" for one in shown(advice)]
    return f"{'; '.join(said)}, each within {percent(advice.error)}. Asked for: {amount(advice.question.rate_per_s)}."


def _kind(one: TrialResult) -> Kind:
    if one.candidate.split:
        return "disaggregated"
    return "chunked" if one.candidate.chunk_tokens else "colocated"


def _label(one: TrialResult, advice: Advice) -> str:
    return f"{one.candidate.label}{' (chosen)' if one.candidate == advice.chosen.candidate else ''}"
