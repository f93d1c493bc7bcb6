"""The model against reality: the same scenario live and simulated, and how far apart the two distributions are."""

from collections.abc import Sequence
from statistics import fmean

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
    """`error`: (simulated - live) / live. `error_at_same_speed`: with steps as slow as they were in the live run."""

    metric: str
    percentile: str
    live_s: float
    simulated_s: float
    error: float
    error_at_same_speed: float


class RealityVerdict(msgspec.Struct, frozen=True):
    """Both distributions, and the gaps between them.

    `decode_contention`, `prefill_contention`: the mean factor by which the live run's steps were slower than steps of
    the same work during calibration. On an otherwise idle machine both are 1.
    """

    live: Metrics
    simulated: Metrics
    decode_contention: float
    prefill_contention: float
    gaps: tuple[Gap, ...]

    @property
    def worst(self) -> Gap:
        """The gap with the largest error, of either sign."""
        return max(self.gaps, key=lambda gap: abs(gap.error))


def calibrated(worker: WorkerSpec, events: Sequence[Event]) -> WorkerSpec:
    """The worker with the cost and scatter of this live log. Raises BadInput if the log has too few steps.

    If live workers share memory bandwidth or cores, their steps in the log are slower, and so is the fit: it includes
    as much contention as the log had. So calibrate on the deployment that is to be simulated.
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


def against(live: Log, worker: WorkerSpec) -> RealityVerdict:
    """Simulate the live log's scenario with this worker, and compare the two."""
    lived, simulated = summarize(live.events).metrics, summarize(simulate(live.scenario, worker).events).metrics
    decode, prefill = scatter(worker.cost, live.events)
    slower = _mean(decode) / _mean(worker.scatter), _mean(prefill) / _mean(worker.prefill_scatter)
    same_speed = summarize(simulate(live.scenario, _slowed(worker, *slower)).events).metrics
    gaps = []
    for metric in COMPARED:
        for percentile in PERCENTILES:
            real, model, also = (_number(metrics, metric, percentile) for metrics in (lived, simulated, same_speed))
            gaps.append(Gap(metric, percentile, real, model, _error(model, real), _error(also, real)))
    return RealityVerdict(lived, simulated, *slower, tuple(gaps))


def _slowed(worker: WorkerSpec, decode: float, prefill: float) -> WorkerSpec:
    return msgspec.structs.replace(
        worker,
        scatter=tuple(factor * decode for factor in worker.scatter or (1.0,)),
        prefill_scatter=tuple(factor * prefill for factor in worker.prefill_scatter or (1.0,)),
    )


def _mean(factors: Sequence[float]) -> float:
    return fmean(factors) if factors else 1.0


def _error(simulated_s: float, live_s: float) -> float:
    return simulated_s / live_s - 1.0 if live_s else 0.0


def _number(metrics: Metrics, metric: str, percentile: str) -> float:
    spread: Spread = getattr(metrics, metric)
    return float(getattr(spread, percentile))
