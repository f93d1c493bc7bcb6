"""How many requests per second a deployment sustains within its latency targets, by formulas: quick and rough.

Every worker has its own capacity. Prefill is one server with equal service times (M/D/1, DistServe section 3.1), and so
is a link. Decode is a batch that holds as many requests as arrive while one is served (Little's law). The advisor uses
this to screen candidates and to look for flips; the simulator decides.
"""

from collections.abc import Callable, Iterable
from math import ceil, sqrt

import msgspec

from engine.fleet.advisor.candidates import Candidate, colocated, cost, kv_tokens, link, splits
from engine.fleet.advisor.plan import Pool, Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.estimate.step_cost import calibrated
from engine.sim.cost import GpuCost

P90 = 2.3  # a queue's wait is nearly exponential: its 90th percentile over its mean; -ln 0.1
P99_SIGMA = 2.3  # standard deviations to the 99th percentile of a batch's size, which is about Poisson
RARE = 0.01  # gaps that are rarer are beyond the 99th percentile
FULL = 0.97  # the highest load at which a queue does not grow
HALVINGS = 14
LEAST = 1e-4  # rows of a batch, on average: answers of two tokens keep few rows busy at any rate
MARGIN = 1.1  # splitting must sustain more by this factor; anything closer counts as the same

Reached = Calibration | None


class Best(msgspec.Struct, frozen=True):
    """The most that is sustained together and split, as a multiple of the asked rate, and the candidates that do."""

    together: float
    split: float
    together_candidate: Candidate | None
    split_candidate: Candidate | None

    @property
    def pays(self) -> bool:
        """Whether splitting pays, by these formulas."""
        return pays(self.together, self.split)

    @property
    def verdict(self) -> Verdict:
        """What these formulas advise."""
        chosen = self.split_candidate if self.pays else self.together_candidate
        return chosen.verdict if chosen else "colocate-chunked"


def pays(together: float, split: float) -> bool:
    """Whether splitting pays, by what is sustained over the asked rate: only if no co-located plan sustains it."""
    return together < 1 <= max(split, 1.0) and split > 0 and split >= MARGIN * together


def best(question: Question, scale: tuple[float, float] = (1.0, 1.0), reached: Reached = None) -> Best:
    """By formulas alone. `scale`: simulated over computed capacity, a factor for each (together, split)."""
    workers, asked = _Workers(question, reached), question.rate_per_s
    found = [_ranked(workers, kind(question)) for kind in (colocated, splits)]
    (together, plan), (split, apart) = (ranked[0] if ranked else (0.0, None) for ranked in found)
    return Best(scale[0] * together / asked, scale[1] * split / asked, plan, apart)


def splitting_pays(question: Question, scale: tuple[float, float] = (1.0, 1.0), reached: Reached = None) -> bool:
    """As `best`, but only whether splitting pays, and no longer than until a co-located candidate keeps the rate."""
    workers, asked = _Workers(question, reached), question.rate_per_s
    together = 0.0
    for candidate in colocated(question):
        together = max(together, scale[0] * workers.sustained_per_s(candidate) / asked)
        if together >= 1:
            return False
    split = max((workers.sustained_per_s(candidate) for candidate in splits(question)), default=0.0)
    return pays(together, scale[1] * split / asked)


def ranking(
    question: Question, candidates: Iterable[Candidate], reached: Reached = None
) -> list[tuple[float, Candidate]]:
    """What each candidate sustains, in requests/s, the most first; those that cannot work are left out."""
    return _ranked(_Workers(question, reached), candidates)


def _ranked(workers: "_Workers", candidates: Iterable[Candidate]) -> list[tuple[float, Candidate]]:
    found = [(workers.sustained_per_s(candidate), candidate) for candidate in candidates]
    return sorted([pair for pair in found if pair[0] > 0], key=lambda pair: -pair[0])


def sustained_per_s(question: Question, candidate: Candidate, reached: Reached = None) -> float:
    """Requests/s that one candidate sustains; 0 if it cannot work."""
    return _Workers(question, reached).sustained_per_s(candidate)


class _Workers:
    """What a worker of each kind sustains, computed once for all candidates."""

    def __init__(self, question: Question, reached: Reached) -> None:
        self._question, self._reached = question, reached
        constants = reached or calibrated(question.card, question.engine)
        self._ttft_s = question.ttft_slo_s - constants.overhead.request_s  # what workers have of it
        self._costs: dict[int, GpuCost] = {}
        self._rooms: dict[int, float] = {}
        self._known: dict[tuple[object, ...], float] = {}

    def sustained_per_s(self, candidate: Candidate) -> float:
        if candidate.both:
            return candidate.both.replicas * self._one(self._both, candidate.both.tp, candidate.chunk_tokens)
        assert candidate.prefill
        assert candidate.decode
        prefill, decode = candidate.prefill, candidate.decode
        road = link(self._question, candidate)
        ship_s = road.seconds(self._question.shape.kv_bytes(self._question.isl_tokens))
        links = 1 if self._question.one_port else min(prefill.replicas, decode.replicas)
        crossing = FULL * links / ship_s
        return min(crossing, self._both_pools(prefill, decode, ship_s))

    def _both_pools(self, prefill: Pool, decode: Pool, ship_s: float) -> float:
        """At the largest batches whose steps meet the target, or fewer rows if prefill does not fill these: a first
        token waits for half a step of the decode worker's."""
        osl_tokens, most = self._question.osl_tokens, self._one(self._decode_rows, decode.tp)
        if osl_tokens == 1:
            return self._prefill(prefill, ship_s)

        def decoded(rows: float) -> float:
            return decode.replicas * rows / (osl_tokens * self._step_s(decode.tp, [], rows))

        def prefilled(rows: float) -> float:
            return self._prefill(prefill, ship_s + self._step_s(decode.tp, [], rows) / 2)

        if not most:
            return 0.0
        sure = LEAST * prefilled(most) / decoded(LEAST)  # rows that prefill fills in any case: longer steps need more
        rows = _most(lambda rows: decoded(rows) <= prefilled(rows), most, max(LEAST, sure), HALVINGS - 5)
        return decoded(rows) if rows else prefilled(min(LEAST, most))

    def _one(self, sustains: Callable[..., float], *of: float) -> float:
        key = (sustains.__name__, *of)
        if key not in self._known:
            self._known[key] = sustains(*of)
        return self._known[key]

    def _cost(self, tp: int) -> GpuCost:
        if tp not in self._costs:
            self._costs[tp] = cost(self._question, tp, self._reached)
        return self._costs[tp]

    def _room(self, tp: int) -> float:
        """The most requests that one worker decodes at once."""
        if tp not in self._rooms:
            question = self._question
            held = kv_tokens(question, tp) // (question.isl_tokens + question.osl_tokens)
            self._rooms[tp] = min(serving_engine(question.engine).running_on(question.card), held)
        return self._rooms[tp]

    def _step_s(self, tp: int, piece: list[tuple[int, int]], rows: float) -> float:
        context = rows * (self._question.isl_tokens + self._question.osl_tokens / 2)
        return self._cost(tp).step_s(piece, rows, context)  # type: ignore[arg-type]  # means need not be whole numbers

    def _prefill(self, pool: Pool, after_s: float) -> float:
        """Of workers that only prefill: the wait that the TTFT target leaves room for limits their load.

        `after_s`: what passes between the prefill and the first token.
        """
        service_s = self._one(self._service_s, pool.tp)
        return pool.replicas * _busy(self._ttft_s - service_s - after_s, service_s) / service_s

    def _service_s(self, tp: int) -> float:
        return self._cost(tp).step_s([(self._question.cached_tokens, self._question.uncached_tokens)], 0, 0)

    def _decode_rows(self, tp: int) -> float:
        """For a worker that only decodes: the largest batch whose steps meet the target."""
        question, room = self._question, self._room(tp)

        def keeps(rows: float) -> bool:
            most = rows + P99_SIGMA * sqrt(rows) if question.promised == "itl" else rows
            return self._step_s(tp, [], min(room, most)) <= question.itl_slo_s

        return _most(keeps, room)

    def _both(self, tp: int, chunk: int) -> float:
        """For a worker that does both: at the largest batch that meets both targets."""
        question, room = self._question, self._room(tp)
        uncached, mixes = question.uncached_tokens, chunk > 0 and serving_engine(question.engine).mixes

        def cut(rows: float) -> tuple[int, list[tuple[int, int]]]:
            """How many pieces of a prompt the budget makes beside so many rows, and the one in the middle."""
            pieces = ceil(uncached / max(1.0, chunk - rows)) if mixes else 1
            return pieces, [(question.cached_tokens + (uncached - uncached // pieces) // 2, ceil(uncached / pieces))]

        def rate_and_gap(rows: float) -> tuple[float, float, float]:
            """Requests/s that keep so many rows filled, the mean gap, and how long a step with a chunk takes."""
            pieces, piece = cut(rows)
            pure_s, mixed_s = self._step_s(tp, [], rows), self._step_s(tp, piece, rows if mixes else 0.0)
            each = rows * pieces / question.osl_tokens  # pieces that come in the time of one token
            if mixes:
                gap_s = pure_s * max(0.0, 1 - each) + each * mixed_s
            else:
                gap_s = pure_s + each * mixed_s
                mixed_s += pure_s
            return rows / (question.osl_tokens * gap_s), gap_s, mixed_s

        def keeps(rows: float) -> bool:
            pieces, (rate, gap_s, mixed_s) = cut(rows)[0], rate_and_gap(rows)
            service_s = pieces * mixed_s
            busy = rate * service_s
            if busy > _busy(self._ttft_s - service_s, service_s):
                return False
            if question.osl_tokens == 1:
                return True
            if question.promised == "tpot":
                return gap_s <= question.itl_slo_s
            most = min(room, rows + P99_SIGMA * sqrt(rows))
            common = rows * pieces / question.osl_tokens > RARE
            full = int(min(uncached, max(1.0, chunk - rows)))
            longest = [(question.cached_tokens + (uncached // full - 1) * full, full)]  # the last that fills its step
            beside_s = self._step_s(tp, longest, most) if mixes else mixed_s
            return (beside_s if common else self._step_s(tp, [], most)) <= question.itl_slo_s

        rows = _most(keeps, room)
        return rate_and_gap(rows)[0] if rows else 0.0


def _busy(room_s: float, service_s: float) -> float:
    """The load of an M/D/1 queue at which 90 % wait no longer than `room_s`."""
    if room_s <= 0:
        return 0.0
    weight = 2 * room_s / (P90 * service_s)
    return min(FULL, weight / (1 + weight))


def _most(keeps: Callable[[float], bool], room: float, least: float = LEAST, halvings: int = HALVINGS) -> float:
    """The most rows, up to `room`, that meet a target; not necessarily a whole number."""
    low, high = 0.0, room
    if room <= 0 or keeps(room):
        return max(0.0, room)
    least = min(least, room)
    if not keeps(least):
        return 0.0
    low = least
    for _ in range(halvings):
        middle = sqrt(low * high)
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low
