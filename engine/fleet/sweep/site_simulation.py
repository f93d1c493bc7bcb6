"""One load on one site: how each deployment of its GPUs handles it, in simulated time."""

import math

import msgspec

from engine.fleet.catalog.hardware import FabricSpec, GpuSpec
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.workers import link_of, worker_on
from engine.goodput import Slo, attainment
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.sim.leap import Happening
from engine.sim.network import NetworkSpec
from engine.sim.run import ClusterSpec, count, run
from engine.sim.search import highest_rate

FEWEST, MOST = 60, 240  # requests per worker in one simulation at the expected rate
LONGEST_S = 60.0
PRECISION = 0.05


class Bench:
    """All deployments of `workers` × `tp` GPUs under one load. `road`: the link between two GPUs.

    All prompts have one length, and so do all outputs; arrivals are Poisson. `one_port`: all links share one port's
    bandwidth. Raises BadInput if a request does not fit into a worker.
    """

    def __init__(
        self,
        workers: int,
        tp: int,
        road: FabricSpec,
        shape: ModelShape,
        card: GpuSpec,
        prompt_tokens: int,
        output_tokens: int,
        slo: Slo,
        seed: int,
        *,
        chunk: int,
        one_port: bool,
    ) -> None:
        self.workers, self.tp, self.road, self.prompt_tokens = workers, tp, road, prompt_tokens
        self.link = link_of(shape, road, tp)
        self._slo, self._output_tokens = slo, output_tokens
        self._worker = worker_on(shape, card, tp=tp, context=prompt_tokens + output_tokens)
        shared = road.achieved_bytes_per_s if one_port else None
        self._on = ClusterSpec(
            self._worker, network=NetworkSpec("fair", shared_bytes_per_s=shared), routing="round-robin"
        )
        self._workload = Workload(prompt_tokens=prompt_tokens, output_tokens=output_tokens, seed=seed)
        self.chunk = chunk
        self.prefill_s = self._worker.cost.step_s([(0, prompt_tokens)], 0, 0)
        self.decode_s = self._decode_s()

    @property
    def expected_rate_per_s(self) -> float:
        """Where to start a search: requests/s that keep all workers busy if prefill and decode take turns, in batches
        as large as the TPOT SLO and the KV pool allow. Chunked prefill can do better: in one step, compute hides memory
        reads.
        """
        return self.workers / (self.prefill_s + self.decode_s)

    @property
    def balanced_split(self) -> int:
        """How many prefill workers give both pools the same amount of work."""
        share = self.prefill_s / (self.prefill_s + self.decode_s)
        return min(self.workers - 1, max(1, round(self.workers * share)))

    def likely_splits(self) -> list[int]:
        """Prefill workers of the balanced split and of its neighbours."""
        step = max(1, self.workers // 12)
        around = (self.balanced_split - step, self.balanced_split, self.balanced_split + step)
        return [prefill for prefill in around if 0 < prefill < self.workers]

    def attained(self, kind: Kind, prefill: int, rate_per_s: float) -> tuple[float, float, float]:
        """At this rate, the share of requests that met the SLOs, and the 90th percentiles of TTFT and TPOT in s."""
        requests = max(50, round(rate_per_s * self.span_s))
        counted = count(self._loaded(kind, prefill, rate_per_s, requests), self._on)
        metrics = counted.metrics
        return attainment(counted.requests, self._slo), metrics.ttft_s.p90, metrics.tpot_s.p90

    def record(self, kind: Kind, prefill: int, rate_per_s: float, requests: int) -> list[Happening]:
        """Every event of so many requests at this rate, for display."""
        record: list[Happening] = []
        run(self._loaded(kind, prefill, rate_per_s, requests), self._on, record.append, watched=True)
        return record

    def highest_rate(self, kind: Kind, prefill: int) -> float:
        """The highest rate, in requests/s, at which 90 % still meet the SLOs; 0 if there is none."""
        return highest_rate(
            self._scenario(kind, prefill),
            self._on,
            self._slo,
            precision=PRECISION,
            span_s=self.span_s,
            near_per_s=self.expected_rate_per_s,
        )

    @property
    def span_s(self) -> float:
        """How long requests keep arriving in each simulation: as long as one decode takes, within limits."""
        decoded_s = self._output_tokens * (self._slo.tpot_s or 0.0)
        worker_s = self.workers / self.expected_rate_per_s  # in which every worker gets one request
        return min(LONGEST_S, max(FEWEST * worker_s, min(decoded_s, MOST * worker_s)))

    def _loaded(self, kind: Kind, prefill: int, rate_per_s: float, requests: int) -> Scenario:
        load = msgspec.structs.replace(self._workload, rate_per_s=rate_per_s, requests=requests)
        return msgspec.structs.replace(self._scenario(kind, prefill), workload=load)

    def _scenario(self, kind: Kind, prefill: int) -> Scenario:
        deployment = Deployment(kind, self.workers, prefill or 1, self.chunk)
        return Scenario(deployment, self.link, self._workload)

    def _decode_s(self) -> float:
        """One request's share of the time of all its decode steps."""
        context = self.prompt_tokens + self._output_tokens
        most = min(self._worker.max_running, self._worker.context_tokens // context)
        within = self._slo.tpot_s or math.inf
        step_s = {rows: self._worker.cost.step_s((), rows, rows * context) for rows in range(1, max(1, most) + 1)}
        rows = max((rows for rows, s in step_s.items() if s <= within), default=1)
        return (self._output_tokens - 1) * step_s[rows] / rows
