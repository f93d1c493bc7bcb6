"""A sweep's result as a figure, a sentence and a table."""

from collections.abc import Sequence

import plotly.graph_objects as go

from engine.fleet.sweep.said import Begun, Sustained, Tried
from engine.fleet.sweep.sweep import TIE, winner
from engine.scenario import KINDS, Kind
from lab.clusters.names import WAYS
from lab.scene.words import LOOKS
from lab.ui.formatting import amount

Table = dict[str, list[str]]


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
        figure.add_hline(0.9, line={"color": "#808a94", "width": 1, "dash": "dash"})
        figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.05], title="met both SLOs")
    else:
        figure.update_yaxes(title="good requests/s per GPU", rangemode="tozero")
    figure.update_xaxes(title="requests/s", rangemode="tozero")
    return plain(figure, 320)


def load_says(points: Sequence[Sustained]) -> str:
    """What each deployment sustains, the highest first, and what follows from that."""
    best = best_of(points)
    order = sorted(best, key=lambda kind: -best[kind].rate_per_s)
    says = "; ".join(f"{_named(best[kind])}: {_rate(best[kind].rate_per_s)}" for kind in order)
    if winner({kind: one.rate_per_s for kind, one in best.items()}) == "none":
        return "No deployment meets these SLOs for 90 % of the requests at any rate."
    return f"{says[0].upper()}{says[1:]}. {_so(best)}"


def _so(best: dict[Kind, Sustained]) -> str:
    split = best["disaggregated"].rate_per_s
    joint = max(one.rate_per_s for kind, one in best.items() if kind != "disaggregated")
    if min(split, joint) > (1 - TIE) * max(split, joint):
        return "So a split neither wins nor loses here: choose what is simpler."
    if split > joint:
        return (
            f"So split here: {split / joint - 1:.0%} more." if joint else "So split here: nothing else meets the SLOs."
        )
    return (
        f"So do not split here: not splitting gives {joint / split - 1:.0%} more." if split else "So do not split here."
    )


def load_table(points: Sequence[Tried]) -> Table:
    """Every simulated point: rate, deployment, share of good requests, and 90th percentiles."""
    return {
        "Requests/s": [f"{point.rate_per_s:.3g}" for point in points],
        "Deployment": [WAYS[point.kind] for point in points],
        "Good": [f"{point.attained:.0%}" for point in points],
        "TTFT": [_s(point.ttft_p90_s) for point in points],
        "TPOT": [_s(point.tpot_p90_s) for point in points],
    }


# ---- the ratio of prefill to decode workers


def ratio_figure(points: Sequence[Sustained], begun: Begun) -> go.Figure:
    """The highest good rate per GPU over the number of prefill workers; the other deployments as levels."""
    gpus = begun.workers * begun.tp
    split = [point for point in points if point.kind == "disaggregated"]
    colour, symbol = LOOKS["disaggregated"]
    figure = go.Figure()
    figure.add_scatter(
        x=[point.prefill_workers for point in split],
        y=[point.rate_per_s / gpus for point in split],
        name=WAYS["disaggregated"],
        mode="lines+markers",
        marker={"color": colour, "symbol": symbol, "size": 10},
        line={"color": colour, "width": 2},
    )
    for point in points:
        if point.kind != "disaggregated":
            dash = "dash" if point.kind == "chunked" else "dot"
            ends = [split[0].prefill_workers, split[-1].prefill_workers]
            level = [point.rate_per_s / gpus] * 2
            line = {"color": LOOKS[point.kind][0], "width": 2, "dash": dash}
            figure.add_scatter(x=ends, y=level, name=WAYS[point.kind], mode="lines", line=line)
    marks = [point.prefill_workers for point in split]
    words = [f"{mark}P<br>{begun.workers - mark}D" for mark in marks]
    figure.update_xaxes(title="prefill and decode workers", tickvals=marks, ticktext=words, tickangle=0)
    figure.update_yaxes(title="highest good rate, requests/s per GPU", rangemode="tozero")
    return plain(figure, 360)


def ratio_says(points: Sequence[Sustained], begun: Begun) -> str:
    """The best split, next to the worst one and to the other deployments."""
    split = [point for point in points if point.kind == "disaggregated"]
    best, worst = max(split, key=_by_rate), min(split, key=_by_rate)
    if best.rate_per_s == 0:
        return "No split meets these SLOs at any rate."
    decode = begun.workers - best.prefill_workers
    others = ", ".join(f"{WAYS[point.kind]}: {_rate(point.rate_per_s)}" for point in points if point not in split)
    says = f"The best split is {best.prefill_workers}P{decode}D with {_rate(best.rate_per_s)}"
    if worst.rate_per_s:
        says += f", {best.rate_per_s / worst.rate_per_s:.1f} times the worst"
    return f"{says}. On the same GPUs: {others}."


def ratio_table(points: Sequence[Sustained], begun: Begun) -> Table:
    """The highest good rate of every deployment, in all and per GPU."""
    gpus = begun.workers * begun.tp
    return {
        "Deployment": [
            f"{point.prefill_workers}P{begun.workers - point.prefill_workers}D"
            if point.prefill_workers
            else WAYS[point.kind]
            for point in points
        ],
        "Requests/s": [f"{point.rate_per_s:.3g}" for point in points],
        "per GPU": [f"{point.rate_per_s / gpus:.3g}" for point in points],
    }


# ---- parts


def best_of(points: Sequence[Sustained]) -> dict[Kind, Sustained]:
    """The highest rate of each kind of deployment; for a split, that of its best ratio."""
    best: dict[Kind, Sustained] = {}
    for point in points:
        if point.kind not in best or point.rate_per_s > best[point.kind].rate_per_s:
            best[point.kind] = point
    return best


def _by_rate(point: Sustained) -> float:
    return point.rate_per_s


def _named(point: Sustained) -> str:
    return WAYS[point.kind] + (f" with {point.prefill_workers} prefill workers" if point.prefill_workers else "")


def _rate(per_s: float) -> str:
    return f"{amount(per_s)} requests/s"


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


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
