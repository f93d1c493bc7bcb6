"""How much load a deployment sustains: the highest rate at which it still meets its SLOs."""

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
    """The share of requests that meet the SLOs when they arrive at this rate for `span_s` seconds.

    Beyond saturation, queues grow as long as requests arrive, so the result depends on the span.
    """
    requests = min(MOST, max(FEWEST, round(rate_per_s * span_s)))
    load = msgspec.structs.replace(scenario.workload, rate_per_s=rate_per_s, requests=requests)
    return attainment(count(msgspec.structs.replace(scenario, workload=load), on).requests, slo)


def highest_rate(
    scenario: Scenario,
    on: On,
    slo: Slo,
    *,
    wanted: float = 0.9,
    precision: float = 0.03,
    span_s: float = 30.0,
    near_per_s: float = 1.0,
) -> float:
    """The highest requests/s at which a share `wanted` still meets the SLOs, within the relative `precision`.

    0 if even `LOWEST_PER_S` is too much; infinite if it holds at the most requests that are simulated. This is
    DistServe's goodput times the number of GPUs. `near_per_s`: where to start; a good guess saves simulations.
    """
    return _highest(
        lambda rate: attained(scenario, on, slo, rate, span_s) >= wanted, precision, MOST / span_s, near_per_s
    )


def _highest(holds: Callable[[float], bool], precision: float, most: float, near: float = 1.0) -> float:
    low, high = 0.0, near
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
