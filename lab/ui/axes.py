"""The axes and colours that all charts share, whoever draws them."""

from collections.abc import Sequence
from math import log10

from engine.units import amount, percent
from lab.ui.formatting import ticks

# at least 3:1 against both a white and a near-black page; shape and words tell them apart too
GUESS, MEASURED = "#d95f02", "#1a8f74"
SERIES = ("#1a8f74", "#9467bd", "#d95f02", "#3a87c8", "#b8860b")
LIMIT = "#808a94"
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHARES: dict[str, object] = {"tickvals": QUARTERS, "ticktext": [percent(share) for share in QUARTERS]}  # of an axis


def span(values: Sequence[float], log: bool) -> tuple[float, float]:
    """From the least to the greatest value, with room for labels at both ends."""
    low, high = min(values), max(values)
    if log:
        pad = (high / low) ** 0.08
        low, high = low / pad, high * pad
        return (low, high) if high / low >= 1.6 else (low / 1.3, high * 1.3)
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


def even_ticks(low: float, high: float) -> list[float]:
    """Four to nine readable values on a linear axis."""
    rough = (high - low) / 8
    if rough <= 0:
        return [low]
    power = 10.0 ** (log10(rough) // 1)
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return [float(f"{n * step:.6g}") for n in range(round(low // step), round(high // step) + 1) if low <= n * step]


def log_ticks(values: Sequence[float]) -> dict[str, object]:
    """A logarithmic axis over these values for Plotly, with readable numbers at all ticks."""
    low, high = span(values, log=True)
    marks = ticks(low, high)
    return {
        "type": "log",
        "range": [log10(low), log10(high)],
        "tickvals": marks,
        "ticktext": [amount(mark) for mark in marks],
    }
