"""Sweeps over a simulated site, in their own process: a request as JSON on stdin, results as JSON lines on stdout.

    echo '{"asks": "load", "site": "node"}' | python -m engine.fleet.sweep.sweep

All deployments get the same number of the same GPUs, and the same requests. Nothing here is measured: steps take as
long as the step cost says.
"""

import functools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from engine.errors import BadInput
from engine.fleet.advisor.candidates import CHUNKS, chunked
from engine.fleet.advisor.capacity import ranking
from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.catalog.sites import site
from engine.fleet.sweep.payoff import boundary, curve, question_of
from engine.fleet.sweep.said import Begun, Refused, Said, Sustained, Sweep, Tried
from engine.fleet.sweep.site_simulation import Bench
from engine.scenario import KINDS, Kind

LOADS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15)  # of the highest rate that any deployment sustains
MOST_RATIOS = 9
TIE = 0.05  # rates that are this close count as equal: the search's precision, and the luck of one seed


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


def winner(rates: Mapping[Kind, float]) -> Kind | Literal["tie", "none"]:
    """The deployment with the highest rate. "tie": the next is within `TIE`; "none": no rate is above 0."""
    best, second = sorted(rates, key=lambda kind: -rates[kind])[:2]
    if rates[best] == 0:
        return "none"
    return "tie" if rates[second] > (1 - TIE) * rates[best] else best


def _load(asked: Sweep) -> Iterator[Said]:
    on = bench(asked)
    candidates: list[tuple[Kind, int]] = [("colocated", 0), ("chunked", 0)]
    candidates += [("disaggregated", prefill) for prefill in on.likely_splits()]
    yield _begun(on, len(candidates) + len(LOADS) * len(KINDS))
    sustained = []
    for kind, prefill in candidates:
        sustained.append(_sustained(on, kind, prefill))
        yield sustained[-1]
    most = max(one.rate_per_s for one in sustained) or on.expected_rate_per_s
    split = max(sustained[2:], key=lambda one: one.rate_per_s).prefill_workers
    for load in LOADS:
        for kind in KINDS:
            yield _tried(on, kind, split if kind == "disaggregated" else 0, load * most)


def _ratio(asked: Sweep) -> Iterator[Said]:
    """Splits spread evenly, then between the best one's neighbours until they are next to it."""
    on = bench(asked)
    step = -(-(on.workers - 1) // MOST_RATIOS)
    splits = sorted({*range(1, on.workers, step), on.balanced_split})
    yield _begun(on, len(splits) + 2 + 2 * (step.bit_length() - 1))
    yield _sustained(on, "colocated")
    yield _sustained(on, "chunked")
    found: dict[int, Sustained] = {}
    while splits:
        for prefill in splits:
            found[prefill] = _sustained(on, "disaggregated", prefill)
            yield found[prefill]
        splits = _between(sorted(found), max(found, key=lambda prefill: found[prefill].rate_per_s))


def _between(tried: Sequence[int], best: int) -> list[int]:
    """What lies halfway from the best value to those beside it, where there is anything."""
    place = tried.index(best)
    beside = [tried[n] for n in (place - 1, place + 1) if 0 <= n < len(tried)]
    return [(one + best) // 2 for one in beside if abs(one - best) > 1]


def bench(asked: Sweep) -> Bench:
    """What "load" and "ratio" are simulated on."""
    where = site(asked.site)
    return Bench(
        where.gpus // asked.gpus_each,
        asked.gpus_each,
        where.fabric(gpu(asked.gpu)),
        model(asked.model),
        gpu(asked.gpu),
        asked.prompt_tokens,
        asked.output_tokens,
        asked.slo,
        asked.seed,
        chunk=_tuned_chunk(asked),
        one_port=where.one_port,
    )


@functools.lru_cache(maxsize=256)
def _tuned_chunk(asked: Sweep) -> int:
    """The token budget of a step with which chunked workers of this TP sustain most, by the advisor's formulas."""
    question = question_of(msgspec.structs.replace(asked, tp=asked.gpus_each))
    ranked = ranking(question, chunked(question))
    return ranked[0][1].chunk_tokens if ranked else CHUNKS[0]


def _begun(bench: Bench, points: int) -> Begun:
    link = bench.link.bandwidth_bytes_per_s or 0.0
    return Begun(points, bench.workers, bench.tp, bench.chunk, bench.road.name, link, bench.span_s)


def _sustained(bench: Bench, kind: Kind, prefill: int = 0) -> Sustained:
    return Sustained(kind, prefill, bench.prompt_tokens, bench.road.name, bench.highest_rate(kind, prefill))


def _tried(bench: Bench, kind: Kind, prefill: int, rate_per_s: float) -> Tried:
    attained, ttft_s, tpot_s = bench.attained(kind, prefill, rate_per_s)
    good = attained * rate_per_s / (bench.workers * bench.tp)
    return Tried(kind, prefill, rate_per_s, attained, good, ttft_s, tpot_s)


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
