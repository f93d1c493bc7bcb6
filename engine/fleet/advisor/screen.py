"""What a deployment would do, by formulas: quick and rough. The advisor screens with it, and looks for flips.

Prefill is one server per worker with equal service times (M/D/1, DistServe section 3.1), decode a batch that holds as
many requests as arrive while one is served (Little's law), a link a server as well. The simulator decides.
"""

from math import ceil, inf, sqrt

import msgspec

from engine.fleet.advisor.candidates import Candidate, cost, handoff_s, kv_tokens
from engine.fleet.advisor.question import Question
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.catalog.engines import serving_engine
from engine.sim.cost import GpuCost

P90 = 2.3  # a queue's wait is nearly exponential: its 90th percentile over its mean; -ln 0.1
P99_SIGMA = 2.3  # of a batch's size, which varies like a Poisson number
RARE = 0.01  # a gap this seldom is beyond the 99th percentile
FULL = 0.98  # load from which on a queue is taken to grow all the time
SPAN_S = 60.0  # and for how long it then does
MARGIN = 1.1  # splitting must be better by more than what is about the same


class Foreseen(msgspec.Struct, frozen=True):
    """`busy`: of the part that is loaded most. `ttft_s` 90th, `itl_s` 99th percentile; infinite if it cannot work."""

    ttft_s: float
    itl_s: float
    busy: float

    def headroom(self, question: Question) -> float:
        return headroom(self.ttft_s, self.itl_s, question)


def headroom(ttft_s: float, itl_s: float, question: Question) -> float:
    """How many times over the targets are kept: 1 is just so."""
    return min(question.ttft_slo_s / max(ttft_s, 1e-9), question.itl_slo_s / max(itl_s, 1e-9))


def pays(chunked: float, split: float) -> bool:
    """Does splitting, by the headrooms of the best of each kind? It must do what chunked prefill cannot."""
    return chunked < 1 and split > 0 and split >= MARGIN * chunked


def foresee(question: Question, candidate: Candidate, reached: Calibration | None = None) -> Foreseen:
    if candidate.both:
        return _shared(question, candidate, reached)
    return _apart(question, candidate, reached)


def _shared(question: Question, candidate: Candidate, reached: Calibration | None) -> Foreseen:
    """Prefill in chunks beside decode: a step with a chunk in it is longer for everybody."""
    assert candidate.both
    pool, cached, uncached = candidate.both, question.cached_tokens, question.uncached_tokens
    worker, rate = cost(question, pool.tp, reached), question.rate_per_s / pool.replicas
    room = _room(question, pool.tp)
    chunks = ceil(uncached / candidate.chunk_tokens)
    piece = [(cached + uncached // 2 - uncached // chunks // 2, ceil(uncached / chunks))]  # a middle one
    rows, mixed_s, gap_s = 1.0, 0.0, 0.0
    for _ in range(12):
        mixed_s = _step_s(worker, piece, question, rows)
        prefilling = min(FULL, rate * chunks * mixed_s)
        gap_s = 1 / (rate * chunks + (1 - prefilling) / _step_s(worker, [], question, rows))
        rows = min(room, max(1.0, rate * question.osl_tokens * gap_s))
    most = min(room, rows + P99_SIGMA * sqrt(rows))
    common = rate * chunks * gap_s > RARE
    itl_s = _step_s(worker, piece if common else [], question, most)
    busy = max(rate * chunks * mixed_s, rate * question.osl_tokens * gap_s / room if room else inf)
    return _foreseen(question, chunks * mixed_s, busy, itl_s, 0.0)


def _apart(question: Question, candidate: Candidate, reached: Calibration | None) -> Foreseen:
    assert candidate.prefill
    assert candidate.decode
    prefill, decode, rate = candidate.prefill, candidate.decode, question.rate_per_s
    prefill_s = cost(question, prefill.tp, reached).step_s([(question.cached_tokens, question.uncached_tokens)], 0, 0)
    worker, room = cost(question, decode.tp, reached), _room(question, decode.tp)
    rows, step_s = 1.0, 0.0
    for _ in range(12):
        step_s = _step_s(worker, [], question, rows)
        rows = min(room, max(1.0, rate / decode.replicas * question.osl_tokens * step_s))
    most = min(room, rows + P99_SIGMA * sqrt(rows))
    shipping_s = handoff_s(question, candidate)
    crossing = rate / min(prefill.replicas, decode.replicas) * shipping_s
    shipped_s = shipping_s + P90 * _wait_s(crossing, shipping_s)
    decoding = rate / decode.replicas * question.osl_tokens * step_s / room if room else inf
    late = shipped_s + step_s + _grown_s(max(decoding, crossing))
    foreseen = _foreseen(
        question, prefill_s, rate / prefill.replicas * prefill_s, _step_s(worker, [], question, most), late
    )
    return msgspec.structs.replace(foreseen, busy=max(foreseen.busy, decoding, crossing))


def _foreseen(question: Question, service_s: float, busy: float, itl_s: float, late_s: float) -> Foreseen:
    if busy == inf:
        return Foreseen(inf, inf, inf)
    ttft_s = service_s + P90 * _wait_s(busy, service_s) + _grown_s(busy) + late_s
    return Foreseen(ttft_s, itl_s if question.osl_tokens > 1 else 0.0, busy)


def _wait_s(busy: float, service_s: float) -> float:
    """Mean wait of M/D/1; beyond `FULL`, as there."""
    busy = min(busy, FULL)
    return busy * service_s / (2 * (1 - busy))


def _grown_s(busy: float) -> float:
    """A queue that is fed faster than it is served is so long after `SPAN_S`."""
    return max(0.0, busy - FULL) * SPAN_S


def _step_s(worker: GpuCost, piece: list[tuple[int, int]], question: Question, rows: float) -> float:
    context = rows * (question.isl_tokens + question.osl_tokens / 2)
    return worker.step_s(piece, rows, context)  # type: ignore[arg-type]  # means need not be whole numbers


def _room(question: Question, tp: int) -> float:
    """Requests that one worker decodes at most."""
    return min(
        serving_engine(question.engine).running_on(question.card),
        kv_tokens(question, tp) // (question.isl_tokens + question.osl_tokens),
    )
