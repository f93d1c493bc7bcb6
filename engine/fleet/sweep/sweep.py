"""Sweeps over a simulated site, in their own process: a request as JSON on stdin, results as JSON lines on stdout.

    echo '{"asks": "load", "site": "node"}' | python -m engine.fleet.sweep.sweep

All plans get the same number of the same GPUs, and the same requests, and are judged as the advisor judges them: by the
highest rate that keeps the SLOs in a steady state. Nothing here is measured: steps take as long as the step cost says.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from engine.errors import BadInput
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.capacity import ranking, sustained_per_s as foreseen
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.search import tuned
from engine.fleet.advisor.simulation import kind_of
from engine.fleet.advisor.trial import capacity_of, seen_at
from engine.fleet.sweep.payoff import boundary, curve, edges, instead, margin, question_of
from engine.fleet.sweep.plans import best_plan, busy_rate_per_s, plans_of, splits_by_ratio
from engine.fleet.sweep.said import Begun, Ratio, Refused, Said, Sustained, Sweep, Tried
from engine.scenario import KINDS, Kind

LOADS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15)  # of the highest rate that any plan sustains
MOST_RATIOS = 9


def sweep(asked: Sweep) -> Iterator[Said]:
    """Point after point, `Begun` first. Raises BadInput before it."""
    asked.checked()
    match asked.asks:
        case "load":
            yield from _load(asked)
        case "ratio":
            yield from _ratio(asked)
        case "map":
            yield from boundary(asked)
        case about:
            yield from curve(asked, about)


def _load(asked: Sweep) -> Iterator[Said]:
    question = question_of(asked)
    yield Begun(len(KINDS) * (1 + len(LOADS)))
    found = []
    for kind in KINDS:
        found.append(_best(question, kind, asked.seed))
        yield found[-1]
    most = max(one.rate_per_s for one in found) or busy_rate_per_s(question)
    for load in LOADS:
        for one in found:
            yield _tried(question, one.plan, load * most, asked.seed)


def _ratio(asked: Sweep) -> Iterator[Said]:
    """Splits spread evenly, then between neighbours: beside the best one, and where co-location begins to sustain more,
    until those are next to each other."""
    question = question_of(asked)
    plans = splits_by_ratio(question)
    ratios = list(plans)
    step = -(-len(ratios) // MOST_RATIOS)
    likely = max(ratios, key=lambda gpus: foreseen(question, plans[gpus]))
    places = sorted({*range(0, len(ratios), step), ratios.index(likely)})
    yield Begun(len(places) + 2 + 4 * (step.bit_length() - 1))
    joint = [_best(question, kind, asked.seed) for kind in ("colocated", "chunked")]
    yield from joint
    level = max(one.rate_per_s for one in joint)
    found: dict[int, float] = {}
    while places:
        for place in places:
            split = _sustained(question, plans[ratios[place]], asked.seed)
            found[place] = split.rate_per_s
            yield split
        places = _between(found, level)
    rates = {ratios[place]: found[place] for place in sorted(found)}
    yield _judged(question, rates, level)


def _judged(question: Question, rates: Mapping[int, float], level: float) -> Ratio:
    error, most = margin(question), max(rates.values())
    good = [gpus for gpus, rate in rates.items() if rate * (1 + error) >= most]
    turns, same = edges(list(rates), [(level, rate) for rate in rates.values()], error)
    return Ratio((min(good), max(good)), error, turns, same, () if turns else tuple(instead(question)))


def _between(found: Mapping[int, float], level: float) -> list[int]:
    """What lies halfway from the best place to those beside it, and between two on either side of the level, where
    there is anything."""
    places = sorted(found)
    best = max(places, key=lambda place: found[place])
    pairs = [
        (one, other)
        for one, other in pairwise(places)
        if best in (one, other) or (found[one] < level) != (found[other] < level)
    ]
    return [(one + other) // 2 for one, other in pairs if other - one > 1]


def _best(question: Question, kind: Kind, seed: int) -> Sustained:
    """With the chunks that simulation finds best, if any plan of the kind keeps the SLOs."""
    ranked = ranking(question, plans_of(question, kind))
    if not ranked:
        return _sustained(question, best_plan(question, kind), seed)
    found = tuned(question, ranked, seed)
    return Sustained(kind_of(question, found.candidate), found.candidate, found.sustained_per_s)


def _sustained(question: Question, plan: Candidate, seed: int) -> Sustained:
    return Sustained(kind_of(question, plan), plan, capacity_of(question, plan, seed=seed).sustained_per_s)


def _tried(question: Question, plan: Candidate, rate_per_s: float, seed: int) -> Tried:
    seen = seen_at(question, plan, rate_per_s, seed=seed)
    good = seen.attained * rate_per_s / question.gpus
    return Tried(kind_of(question, plan), rate_per_s, seen.attained, good, seen.ttft_s, seen.tpot_s)


def main() -> None:
    """Serve one sweep. Exits with 2 if the request is invalid."""
    os.nice(10)  # pages and the live engine go first
    try:
        for said in sweep(msgspec.json.decode(sys.stdin.buffer.read(), type=Sweep)):
            _say(said)
    except (BadInput, msgspec.DecodeError) as wrong:
        _say(Refused(str(wrong)))
        sys.exit(2)


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
