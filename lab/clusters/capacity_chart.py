"""A chart of what each deployment sustains next to the asked rate: bars with the error of the simulated times."""

import plotly.graph_objects as go

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.trial import TrialResult

CHUNKED, SPLIT, ASKED = "#0072b2", "#d95f02", "#808a94"
ROW = 46  # pixels
MOST = 5  # bars


def shown(advice: Advice) -> list[TrialResult]:
    """The bars' candidates: the chosen one, the runner-up, and the best of the rest; the highest rate first."""
    first = [one for one in (advice.chosen, advice.runner_up) if one]
    others = [one for one in advice.tried if one.candidate not in {kept.candidate for kept in first}]
    others.sort(key=lambda one: -one.sustained_per_s)
    return sorted([*first, *others][:MOST], key=lambda one: -one.sustained_per_s)


def capacity_figure(advice: Advice) -> go.Figure:
    """One bar per deployment in orders/s, and a line at the asked rate."""
    figure, bars = go.Figure(), shown(advice)
    for name, color, split in (("together", CHUNKED, False), ("split", SPLIT, True)):
        mine = [one for one in bars if bool(one.candidate.split) is split]
        figure.add_bar(
            x=[one.sustained_per_s for one in mine],
            y=[_label(one, advice) for one in mine],
            orientation="h",
            name=name,
            marker={"color": color},
            error_x={"type": "percent", "value": 100 * advice.error, "color": ASKED},
            hovertemplate="%{y}: %{x:.3g} orders/s<extra></extra>",
        )
    rate = advice.question.rate_per_s
    figure.add_vline(
        x=rate,
        line={"color": ASKED, "dash": "dash"},
        annotation_text=f"asked: {rate:.3g}",
        annotation_position="top right",
    )
    figure.update_yaxes(categoryorder="array", categoryarray=[_label(one, advice) for one in reversed(bars)])
    figure.update_xaxes(title="orders/s within both targets", rangemode="tozero", title_standoff=24)
    figure.update_layout(
        height=150 + ROW * len(bars),
        margin={"l": 10, "r": 10, "t": 60, "b": 40},
        legend={"orientation": "h", "yref": "container", "yanchor": "top", "y": 1},
    )
    return figure


def capacity_alt(advice: Advice) -> str:
    """The chart in words, for screen readers."""
    said = [f"{one.candidate.label} sustains {one.sustained_per_s:.3g} orders/s" for one in shown(advice)]
    return f"{'; '.join(said)}, each within {advice.error:.0%}. Asked for: {advice.question.rate_per_s:.3g}."


def _label(one: TrialResult, advice: Advice) -> str:
    return f"{one.candidate.label}{' (chosen)' if one.candidate == advice.chosen.candidate else ''}"
