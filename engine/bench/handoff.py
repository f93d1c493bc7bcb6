"""`bench handoff`: a tray's way from one worker's pool into another's, beside the fastest that bytes can go here."""

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from queue import SimpleQueue
from statistics import median

import msgspec
import numpy as np

from engine.bench.bare_nixl import BareNixl
from engine.bench.figure import Figure, Findings, beside, found
from engine.bench.receiver import KEY, receiver
from engine.errors import TransportFailed
from engine.events import Arrived, Event, Finished, HandoffEnded, HandoffStarted, TokenMade
from engine.link import LinkSpec
from engine.live.catalog import prepare
from engine.live.courier import Courier
from engine.live.front import Front
from engine.live.kv import KvPool
from engine.live.run import core_count, machine, make_requests
from engine.live.shape import KvShape
from engine.live.transports import Doors, why_not
from engine.messages import Report, Ship, Shipped
from engine.scenario import Deployment, ModelSpec, Scenario, Workload

TRAY_BYTES = (8_000_000, 16_000_000, 32_000_000)
PACES = (1e6, 10e6, 100e6, 1e9)
PACED_S = 0.5  # how long a paced tray may take, unless it is one block or as large as they get
LINK = LinkSpec(50e6)  # at which trays travel while tokens are watched


def measure(model: ModelSpec, repeat: int, watched: int) -> Findings:
    """All of it, on trays as the model's KV makes them. `watched`: trays that come in while tokens are made."""
    shape = prepare(model).kv_shape
    figures, notes = shared_memory(shape, repeat), []
    if lacking := why_not("nixl"):
        notes.append(f"NIXL is not installed here. {lacking}")
    else:
        figures += nixl(shape, repeat)
    figures += pacing(shape, repeat)
    if core_count() < 2:
        notes.append("Tokens were not watched: with one core the two workers would only measure each other.")
    else:
        figures.append(tokens_during(model, watched))
    return found("handoff", machine(), figures, notes)


class Sender:
    """A courier on one core, and the pool it ships from; `endpoints` lead to a receiver with as many blocks."""

    def __init__(self, shape: KvShape, blocks: int, endpoints: dict[str, bytes]) -> None:
        self.shape, self.blocks, self._endpoints = shape, blocks, endpoints
        self.pool = KvPool.create(shape, blocks)
        self.pool.tensor.fill_(1)
        self._doors = Doors(self.pool, key=KEY, names=list(endpoints))
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._shipped = 0
        self._courier = Courier(
            self._doors,
            LinkSpec(),
            say=lambda event: None,
            report=self._reports.put,
            clock=time.monotonic,
            name="sender",
        )

    def set_link(self, link: LinkSpec) -> None:
        self._courier.set_link(link)

    def ship_s(self, transport: str, source: Sequence[int], target: Sequence[int]) -> float:
        """Seconds that a tray took, from its first byte to its last one's landing, checksum included."""
        self._shipped += 1
        ship = Ship(f"tray-{self._shipped}", "receiver", self._endpoints[transport], tuple(target))
        self._courier.ship(ship, transport, tuple(source))
        report = self._reports.get()
        if not isinstance(report, Shipped):
            raise TransportFailed(f"A tray was lost: {report}.")
        return report.seconds

    def close(self) -> None:
        self._courier.close()
        self._doors.close()


@contextmanager
def joined(shape: KvShape, blocks: int, transports: Sequence[str]) -> Iterator[Sender]:
    with receiver(shape, blocks, transports) as endpoints, _one_core():
        sender = Sender(shape, blocks, endpoints)
        try:
            for transport in transports:  # pages are mapped and paths are open, as they are after a few trays
                sender.ship_s(transport, range(blocks), range(blocks))
            yield sender
        finally:
            sender.close()


@contextmanager
def _one_core() -> Iterator[None]:
    """This thread and those that it starts keep to the last core meanwhile."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


# ---- shared memory beside memcpy


def shared_memory(shape: KvShape, repeat: int, sizes: Sequence[int] = TRAY_BYTES) -> list[Figure]:
    """Trays in neighbouring blocks, as an engine hands them out, and in scattered ones; copies of as many bytes."""
    blocks = 3 * _blocks(shape, max(sizes))
    order = random.Random(0)
    figures = []
    with joined(shape, blocks, ["shm"]) as sender:
        copy = Memcpy(sender.pool.nbytes)
        for size in sizes:
            count = _blocks(shape, size)
            nbytes = shape.tray_bytes(count)
            together, apart, copied = [], [], []
            for _ in range(repeat):
                a, b = order.randrange(blocks - count), order.randrange(blocks - count)
                together.append(nbytes / sender.ship_s("shm", range(a, a + count), range(b, b + count)))
                copied.append(nbytes / copy.seconds(nbytes))
                scattered = [order.sample(range(blocks), count) for _ in range(2)]
                apart.append(nbytes / sender.ship_s("shm", *scattered))
            name = f"shared memory, {nbytes / 1e6:.0f} MB"
            figures.append(beside(name, together, copied, "B/s", "memcpy", least=0.8))
            figures.append(beside(f"{name} in scattered blocks", apart, copied, "B/s", "memcpy"))
    return figures


class Memcpy:
    """Copies from one large array to another, each time elsewhere: a cache helps no more than it helps trays."""

    def __init__(self, nbytes: int) -> None:
        self._from, self._to = np.ones(nbytes, np.uint8), np.zeros(nbytes, np.uint8)
        self._to[:] = self._from
        self._order = random.Random(1)

    def seconds(self, nbytes: int) -> float:
        a, b = (self._order.randrange(len(self._from) - nbytes) for _ in range(2))
        source, target = self._from[a : a + nbytes], self._to[b : b + nbytes]
        begun_s = time.perf_counter()
        np.copyto(target, source)
        return time.perf_counter() - begun_s


def _blocks(shape: KvShape, nbytes: float) -> int:
    return max(1, round(nbytes / shape.tray_bytes(1)))


# ---- NIXL beside itself


def nixl(shape: KvShape, repeat: int, sizes: Sequence[int] = TRAY_BYTES) -> list[Figure]:
    """Trays in neighbouring blocks; beside them one transfer of the same bytes, straight through NIXL's own calls."""
    blocks = 2 * _blocks(shape, max(sizes))
    order = random.Random(0)
    figures = []
    with joined(shape, blocks, ["nixl"]) as sender, BareNixl(shape, blocks) as bare:
        for size in sizes:
            count = _blocks(shape, size)
            nbytes = shape.tray_bytes(count)
            ours, theirs = [], []
            for _ in range(repeat):
                a, b = order.randrange(blocks - count), order.randrange(blocks - count)
                ours.append(nbytes / sender.ship_s("nixl", range(a, a + count), range(b, b + count)))
                theirs.append(nbytes / bare.seconds(a, b, count))
            figures.append(beside(f"NIXL, {nbytes / 1e6:.0f} MB", ours, theirs, "B/s", "a bare NIXL loop", least=0.9))
    return figures


# ---- pace


def pacing(shape: KvShape, repeat: int, paces: Sequence[float] = PACES) -> list[Figure]:
    """How far the time of a tray is from `bytes / bandwidth`, as a share of it."""
    most = _blocks(shape, max(TRAY_BYTES))
    figures = []
    with joined(shape, most, ["shm"]) as sender:
        for pace in paces:
            count = min(most, _blocks(shape, pace * PACED_S))
            link = LinkSpec(pace)
            sender.set_link(link)
            wanted_s = link.seconds(shape.tray_bytes(count))
            off = [sender.ship_s("shm", range(count), range(count)) / wanted_s - 1 for _ in range(repeat)]
            name = f"pacing error at {pace / 1e6:,.0f} MB/s"
            figures.append(Figure(name, median(map(abs, off)) * 100, "%", most=2.0))
    return figures


# ---- tokens while trays travel


def tokens_during(model: ModelSpec, trays: int, prompt_tokens: int = 1024, quiet_tokens: int = 32) -> Figure:
    """Gaps between one request's tokens while others' trays come in, beside its gaps while nobody else is there.

    The decode worker's batch is the one request both times, and the prefill worker computes at neither.
    """
    load = Workload(requests=trays + 1, prompt_tokens=prompt_tokens, output_tokens=2, ignore_eos=True)
    scenario = Scenario(Deployment("disaggregated"), LINK, load, model)
    watched, *others = make_requests(scenario)
    ids, context = watched.prompt_ids[:64], prepare(model).context_tokens
    watched = msgspec.structs.replace(watched, prompt_ids=ids, max_output_tokens=context - len(ids))
    with Front(scenario.deployment, scenario.link, model) as front:
        front.start()
        events: list[Event] = []
        for request in (watched, *others):
            front.submit(request)
            events += _until_alone(front, watched.id, quiet_tokens)
    return beside("ITL while a tray comes in", *itl_s(events, watched.id), "s", "ITL without", most=1.05)


def _until_alone(front: Front, request: str, tokens: int) -> list[Event]:
    """Until no other request is open, and as many more of its tokens are made; or until it ends."""
    events: list[Event] = []
    made = 0
    while front.router.open_requests() and made < tokens:
        fresh = front.poll(1.0)
        events += fresh
        alone = len(front.router.open_requests()) == 1
        made += sum(isinstance(event, TokenMade) and event.request == request for event in fresh) if alone else 0
    return events


def itl_s(events: Sequence[Event], request: str) -> tuple[list[float], list[float]]:
    """Gaps between the request's tokens: while another's tray travelled, and while it was alone."""
    travels, visits, arrived = [], [], {}
    for event in events:
        match event:
            case Arrived():
                arrived[event.request] = event.t
            case HandoffStarted():
                started_s = event.t
            case HandoffEnded() if event.request != request:
                travels.append((started_s, started_s + event.seconds))
            case Finished() if event.request != request:
                visits.append((arrived[event.request], event.t))
    times = [event.t for event in events if isinstance(event, TokenMade) and event.request == request]
    gaps = list(pairwise(times))[2:]  # its own way to the decode worker lies before
    during = [b - a for a, b in gaps if any(begin <= a and b <= end for begin, end in travels)]
    alone = [b - a for a, b in gaps if not any(begin < b and a < end for begin, end in visits)]
    return during, alone
