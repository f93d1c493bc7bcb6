"""The plans that a sweep simulates: of each kind the best one by the advisor's formulas, TP, chunks and pools tuned."""

from collections.abc import Sequence

import msgspec

from engine.fleet.advisor.candidates import Candidate, chunked, splits, unchunked
from engine.fleet.advisor.capacity import ranking
from engine.fleet.advisor.question import MAX_GPUS, Question
from engine.scenario import KINDS, Kind

UNPROMISED_S = 1e6  # a promise that everything keeps


def best_plan(question: Question, kind: Kind) -> Candidate:
    """Of those that sustain anything; else of all, as if nothing were promised."""
    return _best(question, plans_of(question, kind))


def plans_of(question: Question, kind: Kind) -> list[Candidate]:
    """All that can be compared."""
    return list({"colocated": unchunked, "chunked": chunked, "disaggregated": splits}[kind](question))


def splits_by_ratio(question: Question) -> dict[int, Candidate]:
    """The best split for each number of GPUs that prefill, from few to many.

    Multiples of the best split's TP: between them, TP would be chosen to use up the GPUs, whatever else it costs.
    """
    best = best_plan(question, "disaggregated").prefill
    by_gpus: dict[int, list[Candidate]] = {}
    for split in splits(question, most_ratios=MAX_GPUS):
        assert split.prefill
        assert best
        if split.prefill.gpus % best.tp == 0:
            by_gpus.setdefault(split.prefill.gpus, []).append(split)
    return {gpus: _best(question, by_gpus[gpus]) for gpus in sorted(by_gpus)}


def busy_rate_per_s(question: Question) -> float:
    """Requests/s that some plan just sustains; if none keeps the promises at any rate, that keep its workers busy."""
    return _first(question, [best_plan(question, kind) for kind in KINDS])[0]


def _best(question: Question, candidates: Sequence[Candidate]) -> Candidate:
    return _first(question, candidates)[1]


def _first(question: Question, candidates: Sequence[Candidate]) -> tuple[float, Candidate]:
    """What sustains the most, and how many requests/s; if nothing keeps the promises, as if nothing were promised."""
    unpromised = msgspec.structs.replace(question, ttft_slo_s=UNPROMISED_S, itl_slo_s=UNPROMISED_S)
    return (ranking(question, candidates) or ranking(unpromised, candidates))[0]
