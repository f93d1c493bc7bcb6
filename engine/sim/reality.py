"""The model against reality: the same scenario live and simulated, and how far the two distributions are apart."""

from collections.abc import Sequence

import msgspec

from engine.events import Event
from engine.log import Log
from engine.metrics import Metrics, Spread, summarize
from engine.sim.fit import fit, scatter, unpaced_bytes_per_s
from engine.sim.run import simulate
from engine.sim.station import WorkerSpec

COMPARED = ("ttft_s", "itl_s", "e2e_s")
PERCENTILES = ("p50", "p90")


class Gap(msgspec.Struct, frozen=True):
    """`error`: (simulated - live) / live."""

    metric: str
    percentile: str
    live_s: float
    simulated_s: float
    error: float


class Verdict(msgspec.Struct, frozen=True):
    """Both distributions, and the gaps between them."""

    live: Metrics
    simulated: Metrics
    gaps: tuple[Gap, ...]

    @property
    def worst(self) -> Gap:
        return max(self.gaps, key=lambda gap: abs(gap.error))


def calibrated(worker: WorkerSpec, events: Sequence[Event]) -> WorkerSpec:
    """The worker with cost and scatter as this live log shows them. Raises BadInput if it shows too little.

    Where two live workers share memory bandwidth or cores, their steps in the log are slower for it, and so is the
    fit: contention is in the calibration, as much of it as the log had. So calibrate on the deployment to be simulated.
    """
    cost = fit([events])
    decode, prefill = scatter(cost, events)
    return msgspec.structs.replace(
        worker,
        cost=cost,
        handoff_bytes_per_s=unpaced_bytes_per_s([events]),
        scatter=decode,
        prefill_scatter=prefill,
    )


def against(live: Log, worker: WorkerSpec) -> Verdict:
    """Simulate the live log's scenario with this worker and lay the two over each other."""
    lived, simulated = summarize(live.events).metrics, summarize(simulate(live.scenario, worker).events).metrics
    gaps = []
    for metric in COMPARED:
        for percentile in PERCENTILES:
            real, model = (_number(metrics, metric, percentile) for metrics in (lived, simulated))
            gaps.append(Gap(metric, percentile, real, model, model / real - 1.0 if real else 0.0))
    return Verdict(lived, simulated, tuple(gaps))


def _number(metrics: Metrics, metric: str, percentile: str) -> float:
    spread: Spread = getattr(metrics, metric)
    return float(getattr(spread, percentile))
