"""A sweep's result as a figure, a sentence and a table."""

from collections.abc import Sequence

import plotly.graph_objects as go

from engine.fleet.sweep.said import Ratio, Side, Sustained, Tried
from engine.scenario import KINDS, Kind
from engine.units import amount, in_time, percent
from lab.clusters.names import WAYS
from lab.scene.words import LOOKS
from lab.ui.axes import SHARES

Table = dict[str, list[str]]
WATCHED = "you are here: the split kitchen below"
GREY = "#808a94"
SAYS: dict[Side, str] = {
    "colocated": "Keeping both together sustains more",
    "disaggregated": "Splitting sustains more",
    "none": "Nothing meets these SLOs",
}


# ---- how much load


def load_figure(points: Sequence[Tried], *, share: bool) -> go.Figure:
    """Over the rate: the share of requests that met both SLOs, or how many per second and GPU did."""
    figure = go.Figure()
    for kind in KINDS:
        mine = [point for point in points if point.kind == kind]
        colour, symbol = LOOKS[kind]
        figure.add_scatter(
            x=[point.rate_per_s for point in mine],
            y=[point.attained if share else point.goodput_per_s_per_gpu for point in mine],
            name=WAYS[kind],
            mode="lines+markers",
            marker={"color": colour, "symbol": symbol, "size": 9},
            line={"color": colour, "width": 2},
        )
    if share:
        figure.add_hline(0.9, line={"color": GREY, "width": 1, "dash": "dash"})
        figure.update_yaxes(**SHARES, range=[-0.03, 1.05], title="met both SLOs")
    else:
        figure.update_yaxes(title="good requests/s per GPU", rangemode="tozero")
    figure.update_xaxes(title="requests/s", rangemode="tozero")
    return plain(figure, 320)


def load_says(points: Sequence[Sustained], error: float) -> str:
    """What the best plan of each kind sustains, the highest first, and what follows; within `error` rates are equal."""
    best = best_of(points)
    order = sorted(best, key=lambda kind: -best[kind].rate_per_s)
    if not any(one.rate_per_s for one in best.values()):
        return "No plan meets these SLOs for 90 % of the requests at any rate."
    return f"{'; '.join(_named(best[kind]) for kind in order)}. {_so(best, error)}"


def _so(best: dict[Kind, Sustained], error: float) -> str:
    split = best["disaggregated"].rate_per_s
    joint = max(one.rate_per_s for kind, one in best.items() if kind != "disaggregated")
    if min(split, joint) * (1 + error) > max(split, joint):
        return f"Within {percent(error)}, a split neither wins nor loses here: choose what is simpler."
    if split > joint:
        return f"So split here: {f'{percent(split / joint - 1)} more' if joint else 'nothing else meets the SLOs'}."
    return f"So do not split here{f': not splitting gives {percent(joint / split - 1)} more' if split else ''}."


def load_table(points: Sequence[Tried]) -> Table:
    """Every simulated point: rate, deployment, share of good requests, and 90th percentiles."""
    return {
        "Requests/s": [amount(point.rate_per_s) for point in points],
        "Deployment": [WAYS[point.kind] for point in points],
        "Good": [percent(point.attained) for point in points],
        "TTFT": [in_time(point.ttft_p90_s) for point in points],
        "TPOT": [in_time(point.tpot_p90_s) for point in points],
    }


# ---- the ratio of prefill to decode


def ratio_figure(points: Sequence[Sustained], found: Ratio, gpus: int, here: int | None) -> go.Figure:
    """What a split sustains per GPU, over the GPUs that prefill; co-located plans as levels, and where the best of them
    is overtaken, with the range of that. `here`: how many GPUs prefill in the kitchen that is watched, if one is."""
    split = _splits(points)
    colour, symbol = LOOKS["disaggregated"]
    figure = go.Figure()
    figure.add_scatter(
        x=[point.prefill_gpus for point in split],
        y=[point.rate_per_s / gpus for point in split],
        error_y={"type": "percent", "value": 100 * found.error, "color": colour},
        name=WAYS["disaggregated"],
        mode="lines+markers",
        marker={"color": colour, "symbol": symbol, "size": 10},
        line={"color": colour, "width": 2},
    )
    for point in points:
        if point.kind != "disaggregated":
            dash = "dash" if point.kind == "chunked" else "dot"
            ends = [split[0].prefill_gpus, split[-1].prefill_gpus]
            level = [point.rate_per_s / gpus] * 2
            line = {"color": LOOKS[point.kind][0], "width": 2, "dash": dash}
            figure.add_scatter(x=ends, y=level, name=WAYS[point.kind], mode="lines", line=line)
    for low, high in {(edge.low, edge.high) for edge in found.edges}:
        figure.add_vrect(x0=low, x1=high, fillcolor=GREY, opacity=0.25, line_width=0)
    for edge in found.edges:
        figure.add_vline(edge.at, line={"color": GREY, "width": 2})
    if here is not None:
        figure.add_vline(here, line={"color": GREY, "width": 1, "dash": "dash"})
        side = "left" if 2 * here < gpus else "right"
        figure.add_annotation(x=here, y=0, yanchor="bottom", xanchor=side, text=WATCHED, showarrow=False)
    marks = [point.prefill_gpus for point in split]
    figure.update_xaxes(
        title="GPUs for prefill : the others", tickvals=marks, ticktext=[f"{mark}:{gpus - mark}" for mark in marks]
    )
    figure.update_yaxes(title="sustained, requests/s per GPU", rangemode="tozero")
    return plain(figure, 360)


def ratio_says(points: Sequence[Sustained], found: Ratio) -> str:
    """The best split and those as good, and which of them sustain more than the best co-located plan; or one sentence
    if none or all do, with what would change it."""
    split, joint = _splits(points), max((p for p in points if p.kind != "disaggregated"), key=_by_rate)
    best = max(split, key=_by_rate)
    if best.rate_per_s == 0:
        return the_same(found.same, "at every ratio simulated", found.instead)
    low, high = found.as_good
    others = "No other ratio is as good" if low == high else f"{low} to {high} GPUs for prefill are as good"
    says = f"The best split is {_named(best)}. {others} within {percent(found.error)}"
    if found.same:
        return f"{the_same(found.same, 'at every ratio simulated', found.instead)} {says}."
    more = [point.prefill_gpus for point in split if point.rate_per_s >= joint.rate_per_s]
    sure = [point for point in split if point.rate_per_s >= (1 + found.error) * joint.rate_per_s]
    which = f"{more[0]}" if len(more) == 1 else f"{more[0]} to {more[-1]}"
    but = "" if sure else ", which is too close to call"
    return f"{says}. A split sustains more than {_named(joint)}, with {which} GPUs for prefill{but}."


def ratio_table(points: Sequence[Sustained], gpus: int) -> Table:
    """What every plan sustains, in all and per GPU."""
    ordered = [point for point in points if point.kind != "disaggregated"] + _splits(points)
    return {
        "Plan": [point.plan.label for point in ordered],
        "Requests/s": [amount(point.rate_per_s) for point in ordered],
        "per GPU": [amount(point.rate_per_s / gpus) for point in ordered],
    }


# ---- parts


def best_of(points: Sequence[Sustained]) -> dict[Kind, Sustained]:
    """The highest rate of each kind."""
    best: dict[Kind, Sustained] = {}
    for point in points:
        if point.kind not in best or point.rate_per_s > best[point.kind].rate_per_s:
            best[point.kind] = point
    return best


def _by_rate(point: Sustained) -> float:
    return point.rate_per_s


def _splits(points: Sequence[Sustained]) -> list[Sustained]:
    return sorted((p for p in points if p.kind == "disaggregated"), key=lambda point: point.prefill_gpus)


def _named(point: Sustained) -> str:
    return f"{point.plan.label}: {_rate(point.rate_per_s)}"


def _rate(per_s: float) -> str:
    return f"{amount(per_s)} requests/s"


def the_same(side: Side, where: str, instead: Sequence[str]) -> str:
    """One sentence, and what would change it."""
    says = f"{SAYS[side]} {where}"
    if not instead:
        return f"{says}, and no prompt, promise, link or larger model that was tried changes that."
    return f"{says}. What would change it: {'; or '.join(instead)}."


def plain(figure: go.Figure, height: int) -> go.Figure:
    """The figure, `height` pixels high, with its legend on top and without zooming."""
    figure.update_xaxes(fixedrange=True, automargin=True)
    figure.update_yaxes(fixedrange=True, automargin=True)
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        dragmode=False,
        showlegend=True,
    )
    return figure
