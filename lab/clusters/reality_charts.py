"""A simulated and a live run of the same orders: their distributions, a table and a sentence."""

import plotly.graph_objects as go

from engine.log import Log
from engine.metrics import summarize
from engine.sim.reality import RealityVerdict
from engine.units import percent
from lab.ui.axes import GUESS, MEASURED, SHARES, log_ticks

CLOSE = 0.15
METRICS = {"ttft_s": "TTFT", "itl_s": "ITL", "e2e_s": "E2E"}


def samples_ms(log: Log, name: str) -> list[float]:
    """All samples of a metric in ms, sorted: one per request for TTFT and E2E, one per gap between tokens for ITL."""
    found: list[float | None] = []
    for one in summarize(log.events).requests:
        found += {"TTFT": [one.ttft_s], "ITL": one.itl_s, "E2E": [one.e2e_s]}[name]
    return sorted(1e3 * seconds for seconds in found if seconds is not None)


def shares_figure(live: Log, simulated: Log, name: str) -> go.Figure:
    """Both empirical distributions, as cumulative shares over ms."""
    figure = go.Figure()
    for log, says, colour, dash in ((live, "live", MEASURED, "solid"), (simulated, "simulated", GUESS, "dash")):
        ms = samples_ms(log, name)
        shares = [(n + 1) / len(ms) for n in range(len(ms))]
        line = {"color": colour, "dash": dash, "width": 2.5, "shape": "hv"}
        figure.add_scatter(x=ms, y=shares, mode="lines", name=says, line=line)
    ticks = log_ticks([*samples_ms(live, name), *samples_ms(simulated, name)]) if name == "ITL" else {}
    figure.update_xaxes(title=f"{name}, ms", automargin=True, **ticks)
    figure.update_yaxes(title="cumulative share", range=[0, 1.02], **SHARES)
    figure.update_layout(
        height=270,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.15, "x": 0},
        dragmode=False,
    )
    return figure


def shares_alt(live: Log, simulated: Log, name: str) -> str:
    """The figure in words, for screen readers."""
    half = [samples_ms(log, name)[len(samples_ms(log, name)) // 2] for log in (live, simulated)]
    return f"{name}: half of them within {half[0]:.0f} ms live and {half[1]:.0f} ms simulated."


def verdict_table(verdict: RealityVerdict) -> dict[str, list[str]]:
    """Each compared figure, live and simulated, with its error."""
    gaps = verdict.gaps
    columns = {
        "": [f"{METRICS[gap.metric]} {gap.percentile}" for gap in gaps],
        "live": [f"{gap.live_s * 1e3:,.0f} ms" for gap in gaps],
        "simulated": [f"{gap.simulated_s * 1e3:,.0f} ms" for gap in gaps],
        "error": [percent(gap.error, sign="+") for gap in gaps],
        "at the same speed": [percent(gap.error_at_same_speed, sign="+") for gap in gaps],
    }
    unbroken = {name: [cell.replace(" ", "\xa0") for cell in cells] for name, cells in columns.items()}
    return unbroken  # on a phone as well


def verdict_says(verdict: RealityVerdict) -> str:
    """How many figures are close, and the worst one, in one sentence."""
    close = sum(abs(gap.error) <= CLOSE for gap in verdict.gaps)
    worst = verdict.worst
    return (
        f"{close} of {len(verdict.gaps)} figures are within {percent(CLOSE)}; the worst, {METRICS[worst.metric]} "
        f"{worst.percentile}, is {percent(abs(worst.error))} too {'long' if worst.error > 0 else 'short'}."
    )
