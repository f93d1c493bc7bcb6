"""A candidate in the simulator: the highest rate at which it meets the targets in steady state.

A fleet of many equal workers is simulated in miniature: the formulas are corrected by the miniature's simulated over
its computed capacity. Replicas that share nothing scale. The best split, whose pools may be in another ratio than its
miniature's, is also simulated at full size.
"""

from collections.abc import Callable

import msgspec

from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.capacity import sustained_per_s
from engine.fleet.advisor.plan import Pool
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.simulation import MOST, NOTHING, KeptPromises, at_rate, enough

PRECISION = 1.06  # of a capacity, as a factor
SMALL = 12  # workers of a miniature at most, prefill and decode together
ALIKE = 1.25  # the factor by which the ratio of its pools may differ
LOWERED = 8  # how often a rate is lowered, each time by more, before the search ends without one
FIRST_STEP = 1.1
REPLICAS = 4  # of a miniature that is not split, at most,
FEW = 2500  # and no more than reach a steady state with so many requests


class TrialResult(msgspec.Struct, frozen=True):
    """`sustained_per_s`: the highest rate within the targets; `headroom`: that over the asked rate. `then`: the results
    at that rate; `asked`: those at the asked rate, or the same as `then` if it sustains less."""

    candidate: Candidate
    sustained_per_s: float
    headroom: float
    then: KeptPromises
    asked: KeptPromises
    seed: int

    @property
    def keeps(self) -> bool:
        """Whether it sustains the asked rate."""
        return self.headroom >= 1

    @property
    def ttft_s(self) -> float:
        return self.asked.ttft_s

    @property
    def itl_s(self) -> float:
        return self.asked.itl_s

    @property
    def tpot_s(self) -> float:
        return self.asked.tpot_s


def tried(question: Question, candidate: Candidate, *, seed: int = 0) -> TrialResult:
    """Search for the highest rate within the targets, and see what comes of the asked rate. Deterministic."""
    sustains, then = sustained(question, candidate, seed=seed)
    asked = then
    if sustains >= question.rate_per_s:
        small, times = _small(question, candidate)
        asked = _of_all(at_rate(question, small, question.rate_per_s / times, seed=seed), times)
    return TrialResult(candidate, sustains, sustains / question.rate_per_s, then, asked, seed)


def capacity_of(question: Question, candidate: Candidate, *, seed: int = 0) -> TrialResult:
    """What it sustains: searched for in a miniature, then seen of the whole fleet. Deterministic."""
    return confirmed(question, tried(question, candidate, seed=seed))


def seen_at(question: Question, candidate: Candidate, rate_per_s: float, *, seed: int = 0) -> KeptPromises:
    """What becomes of the promises at this rate, whether they are kept or not. Deterministic."""
    small, times = _small(question, candidate)
    if not times or _settles(question, rate_per_s):
        return at_rate(question, candidate, rate_per_s, seed=seed)
    return _of_all(at_rate(question, small, rate_per_s / times, seed=seed), times)


def sustained(question: Question, candidate: Candidate, *, seed: int = 0) -> tuple[float, KeptPromises]:
    """The highest rate within the targets, in requests/s, and what was seen there. Deterministic."""
    small, times = _small(question, candidate)
    if times <= 0:
        return 0.0, NOTHING
    seen: dict[float, KeptPromises] = {}

    def holds(rate: float) -> bool:
        seen[rate] = at_rate(question, small, rate, seed=seed, only_if_kept=True)
        return seen[rate].keeps(question)

    low = _highest(holds, sustained_per_s(question, small))
    return low * times, _of_all(seen.get(low, NOTHING), times)


def keeps_at(question: Question, candidate: Candidate, rate_per_s: float, seed: int) -> bool:
    """With other arrivals, in a miniature."""
    small, times = _small(question, candidate)
    return times > 0 and at_rate(question, small, rate_per_s / times, seed=seed, only_if_kept=True).keeps(question)


def _small(question: Question, candidate: Candidate) -> tuple[Candidate, float]:
    """What is simulated in its place, and by how much less that sustains; 0 where neither sustains anything."""
    small = candidate if question.trace or question.one_port else miniature(question, candidate)
    foreseen, foreseen_small = sustained_per_s(question, candidate), sustained_per_s(question, small)
    return (small, foreseen / foreseen_small) if foreseen_small > 0 else (candidate, 0.0)


def _of_all(seen: KeptPromises, times: float) -> KeptPromises:
    """A miniature's results, with the rate of the whole fleet."""
    return msgspec.structs.replace(seen, rate_per_s=seen.rate_per_s * times)


def confirmed(question: Question, outcome: TrialResult) -> TrialResult:
    """The whole fleet simulated, at the rate that its miniature predicts or the next lower one that holds.

    Replicas share one queue, so many of them sustain at least what a few do: only a higher rate is tried of them, and
    only where that is simulated until it is steady.
    """
    rate, step = outcome.sustained_per_s, PRECISION
    if _small(question, outcome.candidate)[0] == outcome.candidate or not rate:
        return outcome
    if outcome.candidate.both:
        if not _settles(question, FIRST_STEP * rate):
            return outcome
        then = at_rate(question, outcome.candidate, FIRST_STEP * rate, seed=outcome.seed, only_if_kept=True)
        return _sustains(outcome, FIRST_STEP * rate, then, question) if then.keeps(question) else outcome
    for _ in range(LOWERED):
        then = at_rate(question, outcome.candidate, rate, seed=outcome.seed, only_if_kept=True)
        if then.keeps(question):
            return _sustains(outcome, rate, then, question)
        rate /= step
        step *= PRECISION
    return _sustains(outcome, 0.0, NOTHING, question)


def _settles(question: Question, rate_per_s: float) -> bool:
    """Whether a fleet at this rate comes to a steady state within one simulation."""
    return enough(question, rate_per_s) <= MOST


def _sustains(outcome: TrialResult, rate: float, then: KeptPromises, question: Question) -> TrialResult:
    return msgspec.structs.replace(outcome, sustained_per_s=rate, headroom=rate / question.rate_per_s, then=then)


def _highest(holds: Callable[[float], bool], near: float) -> float:
    """The highest rate that holds, within `PRECISION`; 0 if not even a hundredth of `near` does."""
    low, high = (near, 0.0) if holds(near) else (0.0, near)
    step = FIRST_STEP
    while not high:
        if holds(low * step):
            low *= step
        else:
            high = low * step
        step *= FIRST_STEP
    step = FIRST_STEP
    while not low:
        if high < near / 100:
            return 0.0
        low = high / step if holds(high / step) else 0.0
        high = high if low else high / step
        step *= 1.3
    while high / low > PRECISION:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def miniature(question: Question, candidate: Candidate) -> Candidate:
    """A smaller fleet of the same kind, with its pools in nearly the same ratio."""
    if candidate.both:
        one = msgspec.structs.replace(candidate, both=_of(candidate.both, 1))
        settling = FEW // enough(question, sustained_per_s(question, one))
        replicas = min(candidate.both.replicas, REPLICAS, max(1, settling))
        return msgspec.structs.replace(candidate, both=_of(candidate.both, replicas))
    assert candidate.prefill
    assert candidate.decode
    p, d = candidate.prefill.replicas, candidate.decode.replicas
    sizes = [(a, b) for a in range(1, min(p, SMALL - 1) + 1) for b in range(1, min(d, SMALL - a) + 1)]

    def off(size: tuple[int, int]) -> float:
        ratio = size[0] / size[1] / (p / d)
        return max(ratio, 1 / ratio)

    alike = [size for size in sizes if off(size) < ALIKE]
    a, b = min(alike, key=sum) if alike else min(sizes, key=off)
    return msgspec.structs.replace(candidate, prefill=_of(candidate.prefill, a), decode=_of(candidate.decode, b))


def _of(pool: Pool, replicas: int) -> Pool:
    return msgspec.structs.replace(pool, replicas=replicas)
