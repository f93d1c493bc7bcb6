"""One candidate simulated at one rate: what becomes of its promises there."""

from collections.abc import Sequence
from math import ceil

import msgspec
import numpy as np

from engine.errors import BadInput
from engine.events import Arrived, Finished
from engine.fleet.advisor.candidates import Candidate, link
from engine.fleet.advisor.plan import Pool
from engine.fleet.advisor.question import Question
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.estimate.workers import worker_on
from engine.goodput import Slo, attainment
from engine.link import LinkSpec
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.sim.leap import Happening
from engine.sim.network import NetworkSpec
from engine.sim.run import ClusterSpec, count, run
from engine.sim.station import WorkerSpec
from engine.sim.tally import Counter, Gaps, Served
from engine.workload import Draft, drafts

TURNOVERS = 4  # how often the requests in flight are replaced; the first time is warm-up and does not count
FEWEST, MOST = 240, 10_000  # requests of one simulation
MOST_OF_TRACE = 1000  # requests of a trace that are simulated, in a row
GROWS = 1.5  # the queue counts as growing if mean TTFT rises by this factor from the first half to the second


class KeptPromises(msgspec.Struct, frozen=True):
    """Results at `rate_per_s`. `ttft_s` and `tpot_s`: 90th percentiles over requests; `itl_s`: 99th over gaps.

    `turnovers`: how often the requests in flight were replaced after warm-up. `steady`: the queue did not grow.
    `busy`: the share of time that each worker was in a step, by name. `attained`: the share of the requests whose TTFT
    and TPOT both were within the targets; 0 if the queue grows, since then nobody's are in the end.
    """

    rate_per_s: float
    ttft_s: float
    itl_s: float
    tpot_s: float
    requests: int
    turnovers: float
    steady: bool
    busy: dict[str, float]
    attained: float = 0.0

    def keeps(self, question: Question) -> bool:
        """Whether it is steady and within both of the question's targets."""
        gap_s = self.itl_s if question.promised == "itl" else self.tpot_s
        return self.steady and self.ttft_s <= question.ttft_slo_s and gap_s <= question.itl_slo_s


NOTHING = KeptPromises(0.0, float("inf"), float("inf"), float("inf"), 0, 0.0, False, {})


def at_rate(
    question: Question,
    candidate: Candidate,
    rate_per_s: float,
    *,
    seed: int = 0,
    requests: int = 0,
    reached: Calibration | None = None,
    only_if_kept: bool = False,
) -> KeptPromises:
    """Simulate at this rate; a trace is played faster or slower. `requests` 0: enough for `TURNOVERS`.

    The result keeps no target if a request does not fit into a worker. `only_if_kept`: nor does it say anything else if
    promises are missed, so the simulation ends as soon as that is certain.
    """
    coming = load(question, rate_per_s, seed, requests)
    counter = _Judge(question, coming) if only_if_kept else Counter()
    try:
        on, deployment, road = _set_up(question, candidate, reached)
        scenario = Scenario(deployment, road, Workload(requests=len(coming), seed=seed))
        counted = count(scenario, on, coming, counter=counter)
    except (BadInput, _Missed):  # a prompt does not fit into a worker, or too many requests came too late
        return NOTHING
    inside = rate_per_s * counted.metrics.e2e_s.mean
    first = min(round(inside), len(coming) // 3)
    full = counted.requests[first:]
    steady = bool(question.trace) or not _grows(full, question.ttft_slo_s)
    return KeptPromises(
        rate_per_s=rate_per_s,
        ttft_s=_percentile([served.ttft_s or 0.0 for served in full], 90),
        itl_s=counted.metrics.itl_s.p99,
        tpot_s=_percentile([_tpot_s(served) for served in full], 90),
        requests=len(coming),
        turnovers=(len(coming) - first) / max(1.0, inside),
        steady=steady,
        busy=counted.metrics.busy,
        attained=attainment(full, Slo(question.ttft_slo_s, question.itl_slo_s)) if steady else 0.0,
    )


class _Missed(Exception):
    """Whatever comes, the promises are missed."""


class _FewLonger(Gaps):
    """Raises `_Missed` once more than `most` gaps were longer than `length_s`; does not look at those within a leap."""

    def __init__(self, length_s: float, most: float) -> None:
        super().__init__()
        self._length_s = length_s
        self._left = most

    def add(self, length: float, count: int = 1) -> None:
        super().add(length, count)
        if length > self._length_s:
            self._left -= count
            if self._left < 0:
                raise _Missed


class _Judge(Counter):
    """Counts, and raises `_Missed` once so many requests or gaps have missed a promise that a percentile of all must.

    The warm-up is never longer than a third, so whoever comes later counts.
    """

    def __init__(self, question: Question, coming: Sequence[Draft]) -> None:
        super().__init__()
        self._question = question
        self._warm = len(coming) // 3
        self._most = 1 + len(coming) // 10
        self._count: set[str] = set()
        self._late = self._slow = 0
        if question.promised == "itl":
            gaps = sum(draft.output_tokens - 1 for draft in coming)
            self._gaps = _FewLonger(question.itl_slo_s, 1 + gaps / 100)

    def _arrived(self, event: Arrived) -> None:
        super()._arrived(event)
        if len(self._served) > self._warm:
            self._count.add(event.request)

    def _first_token(self, request: Served, t: float) -> None:
        super()._first_token(request, t)
        if request.id in self._count and t - request.arrived_s > self._question.ttft_slo_s:
            self._late += 1
            if self._late > self._most:
                raise _Missed

    def _finished(self, event: Finished) -> None:
        super()._finished(event)
        if event.request in self._count and self._question.promised == "tpot":
            self._slow += _tpot_s(self._served[event.request]) > self._question.itl_slo_s
            if self._slow > self._most:
                raise _Missed


def recorded(question: Question, candidate: Candidate, rate_per_s: float, requests: int) -> list[Happening]:
    """All that happens to the first so many requests, for somebody who wants to watch. Raises BadInput."""
    coming = load(question, rate_per_s, 0, requests)[:requests]
    on, deployment, road = _set_up(question, candidate, None)
    record: list[Happening] = []
    run(Scenario(deployment, road, Workload(requests=len(coming))), on, record.append, coming, watched=True)
    return record


def kind_of(question: Question, candidate: Candidate) -> Kind:
    """The deployment that a candidate is."""
    if candidate.split:
        return "disaggregated"
    return "chunked" if candidate.chunk_tokens and serving_engine(question.engine).mixes else "colocated"


def load(question: Question, rate_per_s: float, seed: int = 0, requests: int = 0) -> Sequence[Draft]:
    """The requests: the trace played at this rate, or Poisson arrivals of equal prompts."""
    shared = (0,) if question.cached_tokens else ()
    requests = requests or min(MOST, enough(question, rate_per_s))
    if question.trace:
        replay = _played(question, rate_per_s, requests)
        if question.has_hashes:
            return replay
        return [msgspec.structs.replace(draft, prefix_blocks=shared) for draft in replay]
    workload = Workload(
        requests=requests,
        rate_per_s=rate_per_s,
        prompt_tokens=question.isl_tokens,
        output_tokens=question.osl_tokens,
        seed=seed,
    )
    made = drafts(workload)
    return [msgspec.structs.replace(draft, prefix_blocks=shared) for draft in made] if shared else made


def _played(question: Question, rate_per_s: float, requests: int) -> list[Draft]:
    """The trace at this rate, from its beginning again until so many requests have come: with too few, a cluster takes
    them all at once at any rate. Each time with other prefixes, so that there is no more reuse than was recorded."""
    part, faster = busiest(question.trace), question.rate_per_s / rate_per_s
    begin_s = part[0].arrival_s
    each_s = max(part[-1].arrival_s - begin_s, len(part) / question.rate_per_s)
    fresh = 1 + max((block for draft in part for block in draft.prefix_blocks), default=0)
    return [
        Draft(
            time * len(part) + n,
            (time * each_s + draft.arrival_s - begin_s) * faster,
            draft.prompt_tokens,
            draft.output_tokens,
            tuple(block + time * fresh for block in draft.prefix_blocks),
        )
        for time in range(ceil(requests / len(part)))
        for n, draft in enumerate(part)
    ]


def enough(question: Question, rate_per_s: float) -> int:
    """How many requests it takes until those in flight were replaced so often that what is seen goes on for ever."""
    answer_s = question.ttft_slo_s / 4 + question.osl_tokens * min(question.itl_slo_s, 0.04)
    return max(FEWEST, round(TURNOVERS * rate_per_s * answer_s))


def busiest(trace: Sequence[Draft]) -> Sequence[Draft]:
    """The requests of a trace that are simulated: all, or the busiest `MOST_OF_TRACE` in a row."""
    if len(trace) <= MOST_OF_TRACE:
        return trace
    starts = range(len(trace) - MOST_OF_TRACE + 1)
    begin = min(starts, key=lambda n: trace[n + MOST_OF_TRACE - 1].arrival_s - trace[n].arrival_s)
    return trace[begin : begin + MOST_OF_TRACE]


def _grows(served: Sequence[Served], ttft_slo_s: float) -> bool:
    """Whether the queue keeps growing. Only if waiting is a considerable part of the target."""
    times = [one.ttft_s or 0.0 for one in served]
    half = len(times) // 2
    earlier, later = float(np.mean(times[:half] or [0.0])), float(np.mean(times[half:]))
    return later > GROWS * earlier and later > ttft_slo_s / 3


def _tpot_s(served: Served) -> float:
    return (served.last_s - served.first_s) / (served.output_tokens - 1) if served.output_tokens > 1 else 0.0


def _percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share)) if values else 0.0


def _set_up(
    question: Question, candidate: Candidate, reached: Calibration | None
) -> tuple[ClusterSpec, Deployment, LinkSpec]:
    cached, block = question.cached_tokens, max(1, question.cached_tokens)  # the shared prefix is one block
    engine = serving_engine(question.engine)
    if candidate.both:
        chunk = candidate.chunk_tokens or engine.chunk_on(question.card)
        deployment = Deployment(kind_of(question, candidate), candidate.both.replicas, chunk=chunk)
        worker = _worker(question, candidate.both, reached)
        if question.has_hashes:
            return ClusterSpec(worker, prefix_cache_tokens=worker.context_tokens // 2), deployment, LinkSpec()
        return ClusterSpec(worker, prefix_cache_tokens=cached, prefix_block_tokens=block), deployment, LinkSpec()
    assert candidate.prefill
    assert candidate.decode
    prefill, decode = candidate.prefill, candidate.decode
    deployment = Deployment(
        "disaggregated",
        prefill.replicas + decode.replicas,
        prefill.replicas,
        candidate.chunk_tokens,
        ship="layers" if engine.pushes else "whole",
        first_token="prefill" if engine.pushes else "decode",
        local_prefill_tokens=candidate.remote_above_tokens or 0,
    )
    worker = _worker(question, prefill, reached)
    hashed, road = question.has_hashes, link(question, candidate)
    on = ClusterSpec(
        worker,
        _worker(question, decode, reached),
        network=NetworkSpec("fair", shared_bytes_per_s=road.bandwidth_bytes_per_s if question.one_port else None),
        prefix_cache_tokens=worker.context_tokens // 2 if hashed else cached,
        **({} if hashed else {"prefix_block_tokens": block}),  # type: ignore[arg-type]
    )
    return on, deployment, road


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
