"""How much load a deployment bears: the highest rate at which it still keeps its promises."""

import math
from collections.abc import Callable

import msgspec

from engine.goodput import Slo, attainment
from engine.scenario import Scenario
from engine.sim.run import On, count

FEWEST = 50  # requests to judge by, however low the rate
MOST = 50_000
LOWEST_PER_S = 1e-3


def attained(scenario: Scenario, on: On, slo: Slo, rate_per_s: float, span_s: float = 30.0) -> float:
    """The share of the requests that meet the SLOs when they come at this rate for `span_s` seconds.

    Past saturation queues grow for as long as requests come: what is attained there depends on the span.
    """
    requests = min(MOST, max(FEWEST, round(rate_per_s * span_s)))
    load = msgspec.structs.replace(scenario.workload, rate_per_s=rate_per_s, requests=requests)
    return attainment(count(msgspec.structs.replace(scenario, workload=load), on).requests, slo)


def highest_rate(
    scenario: Scenario, on: On, slo: Slo, *, wanted: float = 0.9, precision: float = 0.03, span_s: float = 30.0
) -> float:
    """Requests/s at which a share `wanted` still meets the SLOs, within `precision` of itself; 0 if none is so low.

    DistServe's goodput, times the number of GPUs. Infinite if it holds for more requests than are simulated.
    """
    return _highest(lambda rate: attained(scenario, on, slo, rate, span_s) >= wanted, precision, MOST / span_s)


def _highest(holds: Callable[[float], bool], precision: float, most: float) -> float:
    low, high = 0.0, 1.0
    while holds(high):
        low, high = high, 2 * high
        if high > most:
            return math.inf
    while low == 0.0:
        if high < LOWEST_PER_S:
            return 0.0
        low, high = (high / 2, high) if holds(high / 2) else (0.0, high / 2)
    while high / low > 1 + precision:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
