"""A rack of 72 GPUs, computed from published bandwidths and simulated: nobody runs one here.

Between racks a GB200 NVL72 has four ConnectX-7 cards of 400 Gbit/s for the four GPUs of a tray (NVIDIA's DGX GB200 user
guide), so 50 GB/s a GPU; 800 Gbit/s belongs to the GB300.
"""

import random
from functools import cache
from typing import NamedTuple

from engine.fleet.catalog.hardware import fabric, gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.roofline import handoff_s
from engine.fleet.estimate.workers import link_of, worker_on
from engine.goodput import Slo, attainment
from engine.scenario import Deployment, Scenario, Workload
from engine.sim.network import NetworkSpec
from engine.sim.planner import PlannerSpec
from engine.sim.run import ClusterSpec, count
from engine.sim.station import WorkerSpec
from engine.sim.tally import Tally
from engine.workload import Draft

MODEL, CARD, TP = "llama-3.3-70b", "gb200", 4
INSIDE, BETWEEN = "nvl72", "ib-400g"
WORKERS = 72 // TP
PROMPT, ANSWER = 4096, 256
PROMISE = Slo(ttft_s=1.0, tpot_s=0.03)
REQUESTS = 1200

DOCUMENTS, DOCUMENT, QUESTION = 60, 8192, 512  # prompt tokens
BLOCK = 512  # tokens by which a cache knows a prompt


def tray_s(road: str) -> float:
    """Seconds that the tray of one prompt takes, on the roads of one worker's GPUs."""
    return handoff_s(model(MODEL), fabric(road), PROMPT, tp=TP)


class Kept(NamedTuple):
    """Which share of the requests kept both promises, and how the prefill workers were split from the others."""

    share: float
    prefill: int
    workers: int


def reading_s(tokens: int) -> float:
    """One prompt's prefill on one worker."""
    return _worker().cost.step_s([(0, tokens)], 0, 0)


def busy_per_s() -> float:
    """Requests a second for the whole rack: a third more than half of its workers can read."""
    return 1.33 * (WORKERS // 2) / reading_s(PROMPT)


@cache
def nodes() -> Kept:
    """Nine machines of eight GPUs, each a domain of its own, with one prefill and one decode worker: all that fits."""
    served = _served(1, 2, busy_per_s() / (WORKERS // 2), REQUESTS // 3)
    return Kept(attainment(served.requests, PROMISE), 1, 2)


@cache
def rack() -> Kept:
    """One domain: of its workers as many prefill as the work asks for."""
    batch = 64
    writing_s = _worker().cost.step_s((), batch, batch * (PROMPT + ANSWER)) * ANSWER / batch
    prefill = round(WORKERS * reading_s(PROMPT) / (reading_s(PROMPT) + writing_s))
    served = _served(prefill, WORKERS, busy_per_s(), REQUESTS)
    return Kept(attainment(served.requests, PROMISE), prefill, WORKERS)


@cache
def planned(planner: bool) -> Kept:
    """A rack whose prefill pool is too small for the long prompts that come first; with a planner, which moves workers
    from one pool to the other as it sees them miss their target."""
    prefill = 5
    rate_per_s = 1.5 * prefill / reading_s(DOCUMENT)
    rng = random.Random(1)
    asked, t = [], 0.0
    for number in range(REQUESTS):
        prompt, answer = (DOCUMENT, 64) if number < REQUESTS / 2 else (1000, 800)
        asked.append(Draft(number, t, prompt, answer))
        t += rng.expovariate(rate_per_s)
    spec = PlannerSpec(ttft_s=0.5, itl_s=0.03, most_workers=WORKERS) if planner else None
    served = count(
        _scenario(prefill, WORKERS), ClusterSpec(_worker(), network=NetworkSpec("fair"), planner=spec), asked
    )
    return Kept(attainment(served.requests, PROMISE), prefill, WORKERS)


@cache
def first_token_s(routing: str) -> float:
    """The TTFT that nine of ten questions about shared documents keep, with that routing."""
    rng = random.Random(1)
    asked, t = [], 0.0
    for number in range(REQUESTS):
        first = rng.randrange(DOCUMENTS) * 1000
        blocks = tuple(range(first, first + DOCUMENT // BLOCK))
        asked.append(Draft(number, t, DOCUMENT + QUESTION, 64, blocks))
        t += rng.expovariate(0.95 * (WORKERS // 2) / reading_s(DOCUMENT + QUESTION))
    on = ClusterSpec(_worker(), network=NetworkSpec("fair"), routing=routing, prefix_cache_tokens=8 * DOCUMENT)  # type: ignore[arg-type]
    return count(_scenario(WORKERS // 2, WORKERS), on, asked).metrics.ttft_s.p90


def _worker() -> WorkerSpec:
    return worker_on(model(MODEL), gpu(CARD), tp=TP, context=DOCUMENT + 1024)


def _scenario(prefill: int, workers: int) -> Scenario:
    deployment = Deployment("disaggregated", workers=workers, prefill_workers=prefill)
    return Scenario(deployment, link_of(model(MODEL), fabric(INSIDE), TP), Workload(requests=REQUESTS))


def _served(prefill: int, workers: int, rate_per_s: float, requests: int) -> Tally:
    rng = random.Random(1)
    asked, t = [], 0.0
    for number in range(requests):
        asked.append(Draft(number, t, PROMPT, ANSWER))
        t += rng.expovariate(rate_per_s)
    return count(_scenario(prefill, workers), ClusterSpec(_worker(), network=NetworkSpec("fair")), asked)
