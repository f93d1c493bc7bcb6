"""A rack of 72 GPUs, computed from published bandwidths and simulated: nobody runs one here.

Between racks a GB200 NVL72 has four ConnectX-7 cards of 400 Gbit/s for the four GPUs of a tray (NVIDIA's DGX GB200 user
guide), so 50 GB/s a GPU; 800 Gbit/s belongs to the GB300.
"""

import math
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
TTFT_S, TPOT_S = 1.0, 0.03  # promised
PROMISE = Slo(ttft_s=TTFT_S, tpot_s=TPOT_S)
REQUESTS = 1300

DOCUMENTS, DOCUMENT, QUESTION = 60, 8192, 512  # prompt tokens
HELD = 10  # documents in one worker's cache; the question says so
BLOCK = 512  # tokens by which a cache knows a prompt


def tray_s(road: str) -> float:
    """Seconds that the tray of one prompt takes, on the roads of one worker's GPUs."""
    return handoff_s(model(MODEL), fabric(road), PROMPT, tp=TP)


class Kept(NamedTuple):
    """Which share of the requests kept both promises, and how the prefill workers were split from the others."""

    share: float
    prefill: int
    workers: int


class Lengths(NamedTuple):
    """Tokens of prompts and of answers: their mean and their median."""

    prompt: tuple[float, float]
    answer: tuple[float, float]


# Azure's published traces of 2023-11-16 (github.com/Azure/AzurePublicDataset): AzureLLMInferenceTrace_code and _conv
CODE = Lengths((2048, 1469), (27.9, 13))
CHAT = Lengths((1155, 1020), (211, 129))
BUSY = 0.8  # of what the workers could do, were they split as the work asks
SHIFTED_S = 120.0


def reading_s(tokens: float) -> float:
    """One prompt's prefill on one worker."""
    return _worker().cost.step_s([(0, round(tokens))], 0, 0)


def writing_s(prompt: float, answer: float) -> float:
    """One answer's share of the decode steps on one worker."""
    batch = 64
    return _worker().cost.step_s((), batch, round(batch * (prompt + answer))) * answer / batch


def as_the_work_asks(prompt: float, answer: float, workers: int) -> int:
    """So many of the workers prefill."""
    read_s, write_s = reading_s(prompt), writing_s(prompt, answer)
    return min(workers - 1, max(1, round(workers * read_s / (read_s + write_s))))


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
    prefill = as_the_work_asks(PROMPT, ANSWER, WORKERS)
    served = _served(prefill, WORKERS, busy_per_s(), REQUESTS)
    return Kept(attainment(served.requests, PROMISE), prefill, WORKERS)


@cache
def planned(planner: bool) -> Kept:
    """A third of a rack, split for the conversations that it served so far, when code comes instead; with a planner,
    which moves workers from one pool to the other as the demand asks."""
    workers = WORKERS // 3
    prefill = as_the_work_asks(CHAT.prompt[0], CHAT.answer[0], workers)
    each_s = reading_s(CODE.prompt[0]) + writing_s(CODE.prompt[0], CODE.answer[0])
    rng = random.Random(1)
    asked: list[Draft] = []
    t = 0.0
    while t < SHIFTED_S:
        prompt, answer = _drawn(rng, CODE.prompt, DOCUMENT), _drawn(rng, CODE.answer, 1000)
        asked.append(Draft(len(asked), t, prompt, answer))
        t += rng.expovariate(BUSY * workers / each_s)
    spec = PlannerSpec("throughput", demand_s=30.0, ttft_s=TTFT_S / 2, itl_s=TPOT_S, most_workers=workers)
    on = ClusterSpec(_worker(), network=NetworkSpec("fair"), planner=spec if planner else None)
    served = count(_scenario(prefill, workers), on, asked)
    return Kept(attainment(served.requests, PROMISE), prefill, workers)


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
    on = ClusterSpec(_worker(), network=NetworkSpec("fair"), routing=routing, prefix_cache_tokens=HELD * DOCUMENT)  # type: ignore[arg-type]
    return count(_scenario(WORKERS // 2, WORKERS), on, asked).metrics.ttft_s.p90


def _worker() -> WorkerSpec:
    return worker_on(model(MODEL), gpu(CARD), tp=TP, context=DOCUMENT + 1024)


def _drawn(rng: random.Random, length: tuple[float, float], most: int) -> int:
    """Log-normal, with that mean and median."""
    mean, median = length
    drawn = rng.lognormvariate(math.log(median), math.sqrt(2 * math.log(mean / median)))
    return max(1, min(most, round(drawn)))


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
