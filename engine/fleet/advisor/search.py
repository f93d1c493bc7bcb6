"""The deployments worth simulating for a question, and what comes of them: formulas screen, the simulator decides."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf

import msgspec
import numpy as np

from engine.fleet.advisor.candidates import Candidate, chunked, splits, unchunked
from engine.fleet.advisor.capacity import MARGIN, pays, ranking
from engine.fleet.advisor.plan import WHOLE, Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.side_by_side import side_by_side
from engine.fleet.advisor.trial import TrialResult, confirmed, tried

SHORTLIST, NEAR = 2, 0.93  # how many of each kind are simulated, if by the formulas they sustain nearly as much
SMALLER = 2  # how many smaller chunks are simulated besides, where larger ones do not hold what formulas foresee
UNDERRATED = 0.8  # formulas foresee that much at least of what small chunks sustain: these share steps among prompts
THRESHOLDS = (50, 75)  # percentiles of a trace's prompts, above which only they are prefilled elsewhere

Progress = Callable[[float, str], None]


class Found(msgspec.Struct):
    """The best of each kind that was simulated. `together`: with or without chunks; `split` may be conditional."""

    question: Question
    together: TrialResult | None
    split: TrialResult | None
    all: list[TrialResult]

    @property
    def splits(self) -> bool:
        """Whether splitting pays."""
        return bool(self.split) and pays(headroom_of(self.together), headroom_of(self.split))

    @property
    def chosen(self) -> TrialResult:
        picked = self.split if self.splits else self.together
        assert picked is not None  # a model that fits can be co-located with the smallest TP that divides the GPUs
        return picked

    @property
    def verdict(self) -> Verdict:
        return self.chosen.candidate.verdict


def search(question: Question, say: Progress, begin: float, end: float, at_once: int = 1) -> Found:
    """Screen all candidates by formula, then simulate the most promising of each kind, `at_once` side by side."""
    ranked = ranking(question, chunked(question))
    whole = list(unchunked(question))
    joint = [*_shortlist(ranked), *(_shortlist(ranking(question, whole)) or whole)[:1]]
    apart = _shortlist(ranking(question, splits(question)))
    conditional = [candidate for split in apart[:1] for candidate in _conditional(question, split)]
    outcomes: list[TrialResult] = []
    candidates = [*joint, *apart, *conditional]
    backwards = candidates[::-1]  # splits take the longest, so that the others are simulated beside them
    with side_by_side(partial(tried, question), backwards, at_once) as results:
        for n, candidate in enumerate(backwards):
            say(begin + (end - begin) * n / len(candidates), f"Simulating {candidate.label}")
            outcomes.insert(0, next(results))
    together, others = outcomes[: len(joint)], outcomes[len(joint) :]
    together = _confirmed(question, _with_smaller_chunks(question, ranked, together, say, end), say, end)
    split, mixed = others[: len(apart)], others[len(apart) :]
    if not any(one.keeps for one in together):  # else splitting is not the answer, whatever it sustains
        split = _confirmed(question, split, say, end)
    picked, some = _best(split), _best(mixed)
    if some and (not picked or some.headroom >= MARGIN * picked.headroom):
        picked = some
    return Found(question, _best(together), picked, [*together, *split, *mixed])


def tuned(question: Question, ranked: Sequence[tuple[float, Candidate]], seed: int = 0) -> TrialResult:
    """The best of these, ranked by formula, with the chunks that simulation finds best."""
    first = [tried(question, ranked[0][1], seed=seed)]
    outcomes = _with_smaller_chunks(question, ranked, first, _quietly, 0.0)
    best = _best(_confirmed(question, outcomes, _quietly, 0.0))
    assert best is not None  # one was tried
    return best


def _quietly(share: float, what: str) -> None:
    """No progress is shown."""


def _with_smaller_chunks(
    question: Question,
    ranked: Sequence[tuple[float, Candidate]],
    simulated: list[TrialResult],
    say: Progress,
    share: float,
) -> list[TrialResult]:
    """And what else is worth simulating: the largest chunks that keep the ITL target do so by a hair."""
    outcomes = list(simulated)
    while (further := _smaller_chunk(ranked, outcomes)) and len(outcomes) < len(simulated) + SMALLER:
        say(share, f"Simulating {further.label}")
        outcomes.append(tried(question, further, seed=simulated[0].seed))
    return outcomes


def _confirmed(question: Question, outcomes: list[TrialResult], say: Progress, share: float) -> list[TrialResult]:
    """Simulate the best one at full size, until it stays the best; the others keep their miniature's result."""
    whole: dict[Candidate, TrialResult] = {}
    while outcomes:
        now = [whole.get(one.candidate, one) for one in outcomes]
        best_now = max(now, key=lambda one: one.headroom)
        if best_now.candidate in whole:
            return now
        say(share, f"Simulating all of {best_now.candidate.label}")
        whole[best_now.candidate] = confirmed(question, best_now)
    return []


def _shortlist(ranked: Sequence[tuple[float, Candidate]]) -> list[Candidate]:
    """The most promising of each TP: neighbouring chunk sizes and ratios sustain about as much as the best one."""
    picked: dict[tuple[int, ...], Candidate] = {}
    for sustains, candidate in ranked:
        if sustains < NEAR * ranked[0][0]:
            break
        picked.setdefault(tuple(pool.tp for pool in (candidate.both, *(candidate.split or ())) if pool), candidate)
    return list(picked.values())[:SHORTLIST]


def _smaller_chunk(ranked: Sequence[tuple[float, Candidate]], simulated: Sequence[TrialResult]) -> Candidate | None:
    """The next one worth simulating, if any: its chunks are smaller than those of the same TP, and formulas foresee as
    much of it as of the best one, or more than that sustains, or nearly as much where that falls short of what they
    foresaw."""
    foreseen = {candidate: sustains for sustains, candidate in ranked}
    best = _best(list(simulated))
    if best is None:
        return None
    of_best = foreseen.get(best.candidate, inf)
    falls_short = best.sustained_per_s < NEAR * of_best < inf
    enough = min(of_best, best.sustained_per_s * (UNDERRATED if falls_short else 1 / NEAR))
    for sustains, candidate in ranked:
        sizes = [one.candidate.chunk_tokens for one in simulated if one.candidate.both == candidate.both]
        chunks = [size for size in sizes if size != WHOLE]
        if sustains >= enough and chunks and WHOLE < candidate.chunk_tokens < min(chunks):
            return candidate
    return None


def _conditional(question: Question, split: Candidate) -> Iterator[Candidate]:
    """Only with a trace: if all prompts have one length, there is nothing to tell apart."""
    if question.trace:
        prompts = [draft.prompt_tokens for draft in question.trace]
        for threshold in np.percentile(prompts, THRESHOLDS):
            above = max(1, int(threshold) - question.cached_tokens)
            yield msgspec.structs.replace(split, remote_above_tokens=above)


def headroom_of(outcome: TrialResult | None) -> float:
    """What it sustains over the asked rate; 0 if nothing was simulated."""
    return outcome.headroom if outcome else 0.0


def _best(outcomes: list[TrialResult]) -> TrialResult | None:
    return max(outcomes, key=lambda outcome: outcome.headroom, default=None)
