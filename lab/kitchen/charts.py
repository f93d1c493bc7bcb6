"""Finished runs as numbers: one table and one chart."""

from collections.abc import Sequence
from itertools import pairwise

import plotly.graph_objects as go

from engine.events import Recalled, TokenMade
from engine.log import Log, seen_from_outside
from engine.metrics import HandoffResult, summarize
from engine.stall import in_seconds
from lab.scene.words import LOOKS, SERVING, kind_of, titles
from lab.ui.axes import log_ticks


def results_table(logs: Sequence[Log]) -> dict[str, list[str]]:
    """One column per kitchen, so that it fits a phone, in the field's terms; computed from the logs."""
    columns: dict[str, list[str]] = {}
    for title, log in zip(titles(logs), logs, strict=True):
        summary = summarize(log.events)
        m = summary.metrics
        cells = {
            "": SERVING[kind_of(log)],
            "TTFT median": in_seconds(m.ttft_s.p50),
            "TTFT 90 %": in_seconds(m.ttft_s.p90),
            "ITL median": in_seconds(m.itl_s.p50),
            "ITL 99 %": in_seconds(m.itl_s.p99),
            "Longest stall": in_seconds(m.max_stall_s),
            "Tokens/s": f"{m.output_tokens_per_s:,.{1 if m.output_tokens_per_s < 9.95 else 0}f}",
            "Trays": _trays(log, summary.handoffs),
        }
        columns["Kitchen"] = list(cells)
        columns[title] = list(cells.values())
    return columns


def _trays(log: Log, handoffs: Sequence[HandoffResult]) -> str:
    """Those that failed too: they are not in the way of the words "all verified"."""
    if seen_from_outside(log):
        return "unseen"
    lost = [event for event in log.events if isinstance(event, Recalled) and event.why != "cancelled"]
    checked = [handoff.verified for handoff in handoffs if handoff.verified is not None]
    if not handoffs and not lost:
        return "none"
    says = f"{sum(checked)} of {len(handoffs)} verified" if not all(checked) else f"{len(handoffs)}"
    if checked and all(checked):
        says += ", all verified"
    return f"{says}; begun again: {len(lost)}" if lost else says


def gaps_figure(logs: Sequence[Log]) -> go.Figure:
    """Every gap between two tokens of an answer: when it ended and how long it was, on a log scale."""
    traces, shown = [], []
    for title, log in zip(titles(logs), logs, strict=True):
        colour, symbol = LOOKS[kind_of(log)]
        ends, gaps = _gaps(log)
        shown += [gap for gap in gaps if gap > 0]  # tokens that came in one piece have none
        marker = {"color": colour, "symbol": symbol, "size": 6}
        traces.append({"type": "scatter", "x": ends, "y": gaps, "mode": "markers", "name": title, "marker": marker})
    layout = {
        "xaxis": {"title": {"text": "seconds into the run"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "gap before the token, ms"}} | (log_ticks(shown) if shown else {}),
        "height": 300,
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "legend": {"orientation": "h", "y": 1.1},
    }
    return go.Figure(traces, layout)  # at once: each update of a figure costs milliseconds


def gaps_alt(logs: Sequence[Log]) -> str:
    """The chart's message as text, for screen readers."""
    says = []
    for name, log in zip(titles(logs), logs, strict=True):
        m = summarize(log.events).metrics
        says.append(
            f"{name}: half of all gaps under {in_seconds(m.itl_s.p50)}, the longest {in_seconds(m.max_stall_s)}"
        )
    return "Gaps between tokens over time. " + "; ".join(says) + "."


def _gaps(log: Log) -> tuple[list[float], list[float]]:
    times: dict[str, list[float]] = {}
    for event in log.events:
        if isinstance(event, TokenMade):
            times.setdefault(event.request, []).append(event.t)
    pairs = [pair for made in times.values() for pair in pairwise(made)]
    return [later for _, later in pairs], [(later - earlier) * 1e3 for earlier, later in pairs]
