"""Sweeps over a simulated site, in their own process: a request as JSON on stdin, results as JSON lines on stdout.

    echo '{"asks": "load", "site": "node"}' | python -m engine.fleet.sweep.sweep

All deployments get the same number of the same GPUs, and the same requests. Nothing here is measured: steps take as
long as the step cost says.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from engine.errors import BadInput
from engine.fleet.catalog.hardware import FabricSpec, fabric, gpu, gpus
from engine.fleet.catalog.hf_config import model, models
from engine.fleet.catalog.sites import site
from engine.fleet.estimate.roofline import smallest_tp
from engine.fleet.sweep.site_simulation import Bench
from engine.goodput import Slo
from engine.scenario import KINDS, Kind, number, one_of, whole

ASKS = ("load", "ratio", "map")
Asks = Literal["load", "ratio", "map"]
LOADS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15)  # of the highest rate that any deployment sustains
MOST_RATIOS = 9
MAP_WORKERS = 4  # a map is many simulations, so each is a small one
MAP_PROMPTS = (512, 2048, 8192, 16_384)
MAP_ROADS = ("tcp", "eth-10g", "eth-100g", "ib-400g", "nvlink4")  # the slowest first
TIE = 0.05  # rates that are this close count as equal: the search's precision, and the luck of one seed


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to simulate. `tp` 0: the fewest GPUs per worker that hold the model. "map" ignores `prompt_tokens`."""

    asks: Asks = "load"
    site: str = "node"
    gpu: str = "h100-sxm"
    model: str = "llama-3.1-8b"
    tp: int = 0
    prompt_tokens: int = 4096
    output_tokens: int = 256
    ttft_slo_s: float = 1.0
    tpot_slo_s: float = 0.05
    seed: int = 0

    def checked(self) -> "Sweep":
        """The sweep itself. Raises BadInput if it cannot be simulated in reasonable time."""
        one_of("sweep", self.asks, ASKS)
        where = site(self.site)
        one_of("gpu", self.gpu, tuple(gpus()))
        one_of("model", self.model, tuple(models()))  # no paths: a request may come from anywhere
        whole("tp", self.tp, 0, 8)
        whole("prompt tokens", self.prompt_tokens, 16, 32_768)
        whole("output tokens", self.output_tokens, 2, 2_048)
        number("TTFT SLO", self.ttft_slo_s, above=0, unit="seconds")
        number("TPOT SLO", self.tpot_slo_s, above=0, unit="seconds")
        whole("seed", self.seed, 0, 2**31)
        if where.gpus // self.gpus_each < 2:
            takes = f"small enough for two workers on the {where.gpus} GPUs of {where.label}"
            raise BadInput("model", f"{self.model} on {self.gpus_each} × {self.gpu} a worker", takes)
        return self

    @property
    def gpus_each(self) -> int:
        """GPUs per worker. Raises BadInput if a name is unknown."""
        return self.tp or smallest_tp(model(self.model), gpu(self.gpu))

    @property
    def slo(self) -> Slo:
        """Both SLOs, in seconds."""
        return Slo(self.ttft_slo_s, self.tpot_slo_s)


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """How many points will come, and what needs no simulation. `span_s`: how long requests arrive in each one."""

    points: int
    workers: int
    tp: int
    chunk: int
    road: str
    link_bytes_per_s: float
    span_s: float


class Tried(msgspec.Struct, frozen=True, tag="tried"):
    """One deployment under one load. `attained`: share of the requests that met both SLOs."""

    kind: Kind
    prefill_workers: int
    rate_per_s: float
    attained: float
    goodput_per_s_per_gpu: float
    ttft_p90_s: float
    tpot_p90_s: float


class Borne(msgspec.Struct, frozen=True, tag="borne"):
    """The highest rate at which 90 % of the requests meet both SLOs: DistServe's goodput. 0 if there is none."""

    kind: Kind
    prefill_workers: int
    prompt_tokens: int
    road: str
    rate_per_s: float


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The request was invalid; `sentence` says why."""

    sentence: str


Said = Begun | Tried | Borne | Refused


def sweep(asked: Sweep) -> Iterator[Said]:
    """Point after point, `Begun` first. Raises BadInput before it."""
    asked.checked()
    yield from {"load": _load, "ratio": _ratio, "map": _map}[asked.asks](asked)


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
    borne = []
    for kind, prefill in candidates:
        borne.append(_borne(on, kind, prefill))
        yield borne[-1]
    most = max(one.rate_per_s for one in borne) or on.expected_rate_per_s
    split = max(borne[2:], key=lambda one: one.rate_per_s).prefill_workers
    for load in LOADS:
        for kind in KINDS:
            yield _tried(on, kind, split if kind == "disaggregated" else 0, load * most)


def _ratio(asked: Sweep) -> Iterator[Said]:
    on = bench(asked)
    step = -(-(on.workers - 1) // MOST_RATIOS)
    splits = sorted({*range(1, on.workers, step), on.balanced_split})
    yield _begun(on, len(splits) + 2)
    yield _borne(on, "colocated")
    yield _borne(on, "chunked")
    for prefill in splits:
        yield _borne(on, "disaggregated", prefill)


def _map(asked: Sweep) -> Iterator[Said]:
    roads = [fabric(name) for name in MAP_ROADS]
    rows = {tokens: [_bench(asked, tokens, road) for road in roads] for tokens in MAP_PROMPTS}
    splits = {tokens: row[-1].likely_splits() for tokens, row in rows.items()}
    total = sum(2 + len(splits[tokens]) + len(roads) - 1 for tokens in rows)
    yield _begun(rows[MAP_PROMPTS[0]][-1], total)
    for tokens, row in rows.items():
        yield _borne(row[-1], "colocated")
        yield _borne(row[-1], "chunked")
        on_fastest = []
        for prefill in splits[tokens]:
            on_fastest.append(_borne(row[-1], "disaggregated", prefill))
            yield on_fastest[-1]
        best = max(on_fastest, key=lambda one: one.rate_per_s)
        for bench in row[:-1]:
            yield _borne(bench, "disaggregated", best.prefill_workers)


def bench(asked: Sweep) -> Bench:
    """What "load" and "ratio" are simulated on."""
    return _bench(asked, asked.prompt_tokens, _road(asked))


def _road(asked: Sweep) -> FabricSpec:
    return site(asked.site).fabric(gpu(asked.gpu))


def _bench(asked: Sweep, prompt_tokens: int, road: FabricSpec) -> Bench:
    where, mapped = site(asked.site), asked.asks == "map"
    workers = where.gpus // asked.gpus_each
    return Bench(
        min(workers, MAP_WORKERS) if mapped else workers,
        asked.gpus_each,
        road,
        model(asked.model),
        gpu(asked.gpu),
        prompt_tokens,
        asked.output_tokens,
        asked.slo,
        asked.seed,
        one_port=where.one_port and not mapped,
    )


def _begun(bench: Bench, points: int) -> Begun:
    link = bench.link.bandwidth_bytes_per_s or 0.0
    return Begun(points, bench.workers, bench.tp, bench.chunk, bench.road.name, link, bench.span_s)


def _borne(bench: Bench, kind: Kind, prefill: int = 0) -> Borne:
    return Borne(kind, prefill, bench.prompt_tokens, bench.road.name, bench.highest_rate(kind, prefill))


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
