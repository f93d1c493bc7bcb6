"""`bench growth`: what a token costs as contexts, batches and runs grow, and how much memory an engine keeps."""

import os
import time
from pathlib import Path
from statistics import median

from engine.bench.figure import Figure, Findings, found
from engine.live.model.catalog import prepare
from engine.live.process.front import Front
from engine.live.process.run import machine, make_requests, run_on
from engine.log import Log
from engine.metrics import summarize
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from engine.sim.cost import LinearCost
from engine.sim.run import count
from engine.sim.station import WorkerSpec

CONTEXTS = (128, 512, 2048)
BATCHES = (1, 4, 16)
REQUESTS = (500, 2000, 8000)
TOKENS = 24
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def measure(model: ModelSpec, repeat: int, minutes: float) -> Findings:
    """Run the bench, on the live engine and on the simulator."""
    one = Scenario(Deployment("colocated", workers=1), model=model)
    with Front(one.deployment, one.link, model) as front:
        front.start()
        live = [*by_context(front, one, repeat), *by_batch(front, one, repeat), *soak(front, one, minutes)]
    return found("growth", machine(), [*live, *by_requests(repeat)], [f"The engine was kept busy for {minutes:g} min."])


def by_context(front: Front, one: Scenario, repeat: int) -> list[Figure]:
    """Seconds per token of a single request."""
    room = prepare(one.model).context_tokens - TOKENS
    took = {n: [] for n in CONTEXTS if n <= room}  # type: dict[int, list[float]]
    for _ in range(repeat):
        for tokens, seconds in took.items():
            seconds.append(_itl_s(_run(front, one, 1, tokens)))
    return _against_first("a token at {} of context", {n: median(seconds) for n, seconds in took.items()}, "s")


def by_batch(front: Front, one: Scenario, repeat: int) -> list[Figure]:
    """Seconds per token when a batch shares each step: the step's time over the batch size."""
    took = {n: [] for n in BATCHES}  # type: dict[int, list[float]]
    for _ in range(repeat):
        for batch, seconds in took.items():
            seconds.append(_itl_s(_run(front, one, batch, 64)) / batch)
    return _against_first("a token in a batch of {}", {n: median(seconds) for n, seconds in took.items()}, "s")


def by_requests(repeat: int) -> list[Figure]:
    """Seconds of simulation per output token."""
    worker = WorkerSpec(LinearCost(step=0.01, prefill_token=1e-4, row=1e-4))
    took = {n: [] for n in REQUESTS}  # type: dict[int, list[float]]
    for turn in range(1 + repeat):
        for requests, seconds in took.items():
            load = Workload(requests=requests, rate_per_s=8.0, prompt_tokens=256, output_tokens=64)
            begun_s = time.perf_counter()
            count(Scenario(Deployment("disaggregated"), workload=load), worker)
            if turn:  # the first turn imports and warms up
                seconds.append((time.perf_counter() - begun_s) / (requests * load.output_tokens))
    per_token = {n: median(seconds) for n, seconds in took.items()}
    return _against_first("a simulated token of {:,} requests", per_token, "s", most=1.2)


def soak(front: Front, one: Scenario, minutes: float) -> list[Figure]:
    """Memory and the cost of a token, after the first fifth of the time and at its end, with runs back to back."""
    begun_s = time.monotonic()
    settled: tuple[dict[str, int], float] | None = None
    runs = 0
    while True:
        itl_s = _itl_s(_run(front, one, 4, 64))
        runs += 1
        passed = (time.monotonic() - begun_s) / 60
        if settled is None and (passed >= minutes / 5 or passed >= minutes):
            settled = _resident(front), itl_s
        if passed >= minutes:
            break
    assert settled is not None, "a fifth of the time has passed before all of it"
    before, itl_before = settled
    figures = [Figure("a token after all runs", itl_s, "s", "in the first fifth", itl_before)]
    return figures + [
        Figure(f"memory of the {name}", now, "B", "after the first fifth", before[name], most=1.05)
        for name, now in _resident(front).items()
    ]


def _run(front: Front, one: Scenario, requests: int, prompt_tokens: int) -> Log:
    load = Workload(requests=requests, prompt_tokens=prompt_tokens, output_tokens=TOKENS, ignore_eos=True)
    scenario = Scenario(one.deployment, one.link, load, one.model)
    return run_on(front, scenario, make_requests(scenario))


def _itl_s(log: Log) -> float:
    return summarize(log.events).metrics.itl_s.p50


def _resident(front: Front) -> dict[str, int]:
    """The RSS of the front and of its workers, by name, in bytes."""
    workers = {seat.name: seat.process.pid for seat in front.seats if seat.process is not None}
    return {name: resident_bytes(pid) for name, pid in {"front": os.getpid(), **workers}.items()}


def resident_bytes(pid: int) -> int:
    """A process's resident memory. Linux only; raises OSError if the process has ended."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _against_first(name: str, values: dict[int, float], unit: str, **wanted: float) -> list[Figure]:
    """Each size's value, compared with that of the smallest."""
    (least, base), *others = values.items()
    first = Figure(name.format(least), base, unit)
    return [first, *(Figure(name.format(n), value, unit, f"at {least:,}", base, **wanted) for n, value in others)]
