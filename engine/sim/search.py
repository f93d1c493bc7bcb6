"""How much load a deployment bears: the highest rate at which it still keeps its promises."""

from collections.abc import Callable

import msgspec

from engine.goodput import Slo, attainment
from engine.scenario import Scenario
from engine.sim.run import count
from engine.sim.station import WorkerSpec


def attained(scenario: Scenario, worker: WorkerSpec, slo: Slo, rate_per_s: float) -> float:
    """The share of the requests that meet the SLOs at this rate."""
    load = msgspec.structs.replace(scenario.workload, rate_per_s=rate_per_s)
    return attainment(count(msgspec.structs.replace(scenario, workload=load), worker).requests, slo)


def highest_rate(
    scenario: Scenario, worker: WorkerSpec, slo: Slo, wanted: float = 0.9, precision: float = 0.03
) -> float:
    """Requests/s at which a share `wanted` still meets the SLOs, within `precision` of itself; 0 if none is so low.

    DistServe's goodput, times the number of GPUs. What is found depends on how many requests the workload has: past
    saturation queues grow as long as requests come.
    """
    return _highest(lambda rate: attained(scenario, worker, slo, rate) >= wanted, precision)


def _highest(holds: Callable[[float], bool], precision: float) -> float:
    low, high = 0.0, 1.0
    while holds(high):
        low, high = high, 2 * high
        if high > 1e6:
            return low
    while low == 0.0:
        if high < 1e-3:
            return 0.0
        low, high = (high / 2, high) if holds(high / 2) else (0.0, high / 2)
    while high / low > 1 + precision:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
