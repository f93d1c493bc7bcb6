"""`bench handoff`: KV from one worker's pool to another's, compared with the fastest copies this machine can make."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

import msgspec

from engine.bench.compute import OWN, Peer, peer
from engine.bench.figure import Figure, Findings, beside, found
from engine.bench.receiver import Receiver, receiver
from engine.events import Arrived, Event, Finished, HandoffEnded, HandoffStarted, TokenMade
from engine.link import LinkSpec
from engine.live.handoff.transports import why_not
from engine.live.model.catalog import prepare
from engine.live.model.shape import KvShape
from engine.live.process.front import Front
from engine.live.process.run import machine, make_requests
from engine.live.this_machine import core_count
from engine.scenario import Deployment, ModelSpec, Scenario, Workload

TRAY_BYTES = (8_000_000, 16_000_000, 32_000_000)
PACES = (1e6, 10e6, 100e6, 1e9)
PACED_S = 0.5  # how long a paced handoff takes, unless it is a single block or of the largest size
LINK = LinkSpec(50e6)  # the link of handoffs while tokens are timed


def measure(model: ModelSpec, repeat: int, watched: int) -> Findings:
    """Run the bench with handoffs of the model's KV. `watched`: how many arrive while tokens are timed."""
    shape = prepare(model).kv_shape
    figures, notes = shared_memory(shape, repeat), []
    if lacking := why_not("nixl"):
        notes.append(f"NIXL is not installed here. {lacking}")
    else:
        figures += nixl(shape, repeat)
    figures += pacing(shape, repeat)
    if core_count() < 2:
        notes.append("Tokens were not timed: on one core the two workers would only measure each other.")
    else:
        figures.append(tokens_during(model, watched))
    return found("handoff", machine(), figures, notes)


@contextmanager
def joined(shape: KvShape, blocks: int, transports: Sequence[str]) -> Iterator[tuple[Peer, Receiver]]:
    """A sender and a receiver, each in its own process, with `blocks` blocks each."""
    with receiver(shape, blocks, transports) as theirs:
        told = msgspec.json.encode((shape, blocks, theirs.endpoints)).decode()
        with peer("the sender", *OWN, "engine.bench.sender", told) as sender:
            yield sender, theirs


# ---- shared memory, compared with memcpy


def shared_memory(shape: KvShape, repeat: int, sizes: Sequence[int] = TRAY_BYTES) -> list[Figure]:
    """Handoffs in consecutive blocks, as an engine allocates them, and in scattered ones; copies of the same size."""
    blocks = 3 * _blocks(shape, max(sizes))
    order = random.Random(0)
    figures = []
    with joined(shape, blocks, ["shm"]) as (sender, theirs):
        for size in sizes:
            count = _blocks(shape, size)
            nbytes = shape.tray_bytes(count)
            together, verified, apart, copied, summed = [], [], [], [], []
            for _ in range(repeat):
                a, b = (list(range(first, first + count)) for first in _places(order, blocks, count))
                seconds = sender.ask("ship", "shm", a, b)
                together.append(nbytes / seconds)
                verified.append(nbytes / (seconds + theirs.verify_s(b)))
                copy_s = sender.ask("copy", nbytes)
                copied.append(nbytes / copy_s)
                summed.append(nbytes / (copy_s + sender.ask("sum", a)))
                a, b = (order.sample(range(blocks), count) for _ in range(2))
                apart.append(nbytes / sender.ask("ship", "shm", a, b))
            name = f"shared memory, {nbytes / 1e6:.0f} MB"
            figures.append(beside(name, together, copied, "B/s", "memcpy", least=0.8))
            figures.append(beside(f"{name}, checksum for checksum", together, summed, "B/s", "memcpy, then a checksum"))
            figures.append(beside(f"{name}, until it is verified", verified, copied, "B/s", "memcpy"))
            figures.append(beside(f"{name} in scattered blocks", apart, copied, "B/s", "memcpy"))
    return figures


def _places(order: random.Random, blocks: int, count: int) -> tuple[int, int]:
    """The first block at either end, different each time."""
    return order.randrange(blocks - count), order.randrange(blocks - count)


def _blocks(shape: KvShape, nbytes: float) -> int:
    return max(1, round(nbytes / shape.tray_bytes(1)))


# ---- NIXL, compared with bare NIXL


def nixl(shape: KvShape, repeat: int, sizes: Sequence[int] = TRAY_BYTES) -> list[Figure]:
    """Handoffs in consecutive blocks, compared with one transfer of the same bytes through NIXL's own calls.

    NIXL copies on the calling core, so a checksum always adds to it. The difference to both is the courier's overhead.
    """
    blocks = 2 * _blocks(shape, max(sizes))
    order = random.Random(0)
    figures = []
    with joined(shape, blocks, ["nixl"]) as (sender, _):
        for size in sizes:
            count = _blocks(shape, size)
            nbytes = shape.tray_bytes(count)
            ours, theirs, summed = [], [], []
            for _ in range(repeat):
                a, b = _places(order, blocks, count)
                ours.append(nbytes / sender.ask("ship", "nixl", list(range(a, a + count)), list(range(b, b + count))))
                a, b = _places(order, blocks, count)
                bare_s = sender.ask("bare", a, b, count)
                theirs.append(nbytes / bare_s)
                a, _ = _places(order, blocks, count)
                summed.append(nbytes / (bare_s + sender.ask("sum", list(range(a, a + count)))))
            name = f"NIXL, {nbytes / 1e6:.0f} MB"
            figures.append(beside(name, ours, theirs, "B/s", "a bare NIXL loop", least=0.9))
            figures.append(beside(f"{name}, checksum for checksum", ours, summed, "B/s", "bare NIXL, then a checksum"))
    return figures


# ---- pace


def pacing(shape: KvShape, repeat: int, paces: Sequence[float] = PACES) -> list[Figure]:
    """How far the time of a handoff is from `bytes / bandwidth`, in percent of it."""
    most = _blocks(shape, max(TRAY_BYTES))
    figures = []
    with joined(shape, most, ["shm"]) as (sender, _):
        for pace in paces:
            count = min(most, _blocks(shape, pace * PACED_S))
            blocks = list(range(count))
            sender.ask("pace", pace)
            wanted_s = LinkSpec(pace).seconds(shape.tray_bytes(count))
            off = [sender.ask("ship", "shm", blocks, blocks) / wanted_s - 1 for _ in range(repeat)]
            name = f"pacing error at {pace / 1e6:,.0f} MB/s"
            figures.append(Figure(name, median(map(abs, off)) * 100, "%", most=2.0))
    return figures


# ---- tokens during handoffs


def tokens_during(model: ModelSpec, trays: int, prompt_tokens: int = 1024, quiet_tokens: int = 32) -> Figure:
    """Gaps between one request's tokens while others' KV arrives, compared with its gaps while it is alone.

    In both cases the decode worker's batch is that one request, and the prefill worker computes nothing.
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
    """Events until no other request is open and `tokens` more tokens are made, or until the request ends."""
    events: list[Event] = []
    made = 0
    while front.router.open_requests() and made < tokens:
        fresh = front.poll(1.0)
        events += fresh
        alone = len(front.router.open_requests()) == 1
        made += sum(isinstance(event, TokenMade) and event.request == request for event in fresh) if alone else 0
    return events


def itl_s(events: Sequence[Event], request: str) -> tuple[list[float], list[float]]:
    """Gaps in seconds between the request's tokens: during other requests' handoffs, and while it was alone."""
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
    gaps = list(pairwise(times))[2:]  # its own handoff is before these
    during = [b - a for a, b in gaps if any(begin <= a and b <= end for begin, end in travels)]
    alone = [b - a for a, b in gaps if not any(begin < b and a < end for begin, end in visits)]
    return during, alone
