"""A candidate in the simulator: the same requests for all, served by the engine's own worker and router."""

from collections.abc import Sequence

import msgspec
import numpy as np

from engine.errors import BadInput
from engine.fleet.advisor.candidates import Candidate, link
from engine.fleet.advisor.plan import Pool
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.screen import headroom
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.estimate.workers import worker_on
from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario, Workload
from engine.sim.network import NetworkSpec
from engine.sim.run import ClusterSpec, count
from engine.sim.station import WorkerSpec
from engine.workload import Draft, drafts

FEWEST, MORE_PER_GPU = 150, 12  # requests; at most FEWEST and so many for each GPU
TOKENS_PER_GPU = 40_000  # simulated at most, unless the fewest requests have more: an advice shall take seconds
WARMING = 0.1  # share of them whose TTFT does not count: they find everything empty
TURNOVERS = 3  # as many requests as are in the house at a time, so often


class Outcome(msgspec.Struct, frozen=True):
    """`ttft_s`: 90th percentile; `itl_s`: 99th of all gaps; `busy`: of each worker, its share of the time."""

    candidate: Candidate
    ttft_s: float
    itl_s: float
    headroom: float
    requests: int
    seed: int
    busy: dict[str, float]

    @property
    def keeps(self) -> bool:
        return self.headroom >= 1


def tried(question: Question, candidate: Candidate, *, seed: int = 0, reached: Calibration | None = None) -> Outcome:
    """The same for the same arguments."""
    requests = load(question, seed)
    try:
        on, deployment, road = _set_up(question, candidate, reached)
        scenario = Scenario(deployment, road, Workload(requests=len(requests), seed=seed))
        counted = count(scenario, on, requests)
    except BadInput:  # a prompt that no worker of it has room for
        return Outcome(candidate, float("inf"), float("inf"), 0.0, len(requests), seed, {})
    warm = counted.requests[int(WARMING * len(counted.requests)) :]
    ttft_s = float(np.percentile([served.ttft_s or 0.0 for served in warm], 90))
    itl_s = counted.metrics.itl_s.p99
    room = headroom(ttft_s, itl_s, question)
    return Outcome(candidate, ttft_s, itl_s, room, len(requests), seed, counted.metrics.busy)


def load(question: Question, seed: int = 0) -> Sequence[Draft]:
    """The trace, or Poisson arrivals of the one prompt: enough to fill the house a few times."""
    shared = (0,) if question.cached_tokens else ()
    if question.trace:
        return [msgspec.structs.replace(draft, prefix_blocks=shared) for draft in question.trace[: _most(question)]]
    inside = question.rate_per_s * (question.ttft_slo_s / 2 + question.osl_tokens * min(question.itl_slo_s, 0.05))
    workload = Workload(
        requests=min(_most(question), max(FEWEST, round(TURNOVERS * inside))),
        rate_per_s=question.rate_per_s,
        prompt_tokens=question.isl_tokens,
        output_tokens=question.osl_tokens,
        seed=seed,
    )
    return [msgspec.structs.replace(draft, prefix_blocks=shared) for draft in drafts(workload)]


def _most(question: Question) -> int:
    """Long answers have gaps enough in fewer of them."""
    by_tokens = round(TOKENS_PER_GPU * question.gpus / question.osl_tokens)
    return min(FEWEST + MORE_PER_GPU * question.gpus, max(FEWEST, by_tokens))


def _set_up(
    question: Question, candidate: Candidate, reached: Calibration | None
) -> tuple[ClusterSpec, Deployment, LinkSpec]:
    cached, block = question.cached_tokens, max(1, question.cached_tokens)  # what is shared is one block
    if candidate.both:
        deployment = Deployment("chunked", candidate.both.replicas, chunk=candidate.chunk_tokens)
        worker = _worker(question, candidate.both, reached)
        return ClusterSpec(worker, prefix_cache_tokens=cached, prefix_block_tokens=block), deployment, LinkSpec()
    assert candidate.prefill
    assert candidate.decode
    prefill, decode = candidate.prefill, candidate.decode
    pushed = serving_engine(question.engine).pushes
    deployment = Deployment(
        "disaggregated",
        prefill.replicas + decode.replicas,
        prefill.replicas,
        candidate.chunk_tokens,
        ship="layers" if pushed else "whole",
        first_token="prefill" if pushed else "decode",
        local_prefill_tokens=candidate.remote_above_tokens or 0,
    )
    on = ClusterSpec(
        _worker(question, prefill, reached),
        _worker(question, decode, reached),
        network=NetworkSpec(sharing="fair"),
        prefix_cache_tokens=cached,
        prefix_block_tokens=block,
    )
    return on, deployment, link(question, candidate)


def _worker(question: Question, pool: Pool, reached: Calibration | None) -> WorkerSpec:
    return worker_on(
        question.shape,
        question.card,
        context=question.isl_tokens + question.osl_tokens,
        tp=pool.tp,
        engine=question.engine,
        road=question.tensor_road(pool.tp),
        reached=reached,
    )
