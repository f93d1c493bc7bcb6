"""Logs without processes: the real Router and Workers in virtual time, with made-up answers.

Costs are those of a small model on a slow core, so that the lab's effects are visible: a long prompt takes a second, a
decode step 45 ms, and its tray is some 20 MB.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from engine.blocks import BlockPool
from engine.events import Event, HandoffMoved, HandoffStarted, TokenMade
from engine.link import LinkSpec
from engine.messages import (
    Admit,
    Command,
    Compared,
    Configure,
    Drop,
    Prefill,
    Ready,
    Report,
    Reserve,
    Said,
    SetLink,
    Ship,
    Shipped,
)
from engine.plan import Plan
from engine.request import Request
from engine.router import Output, Router, Send
from engine.scenario import BLOCK_TOKENS, Deployment, Kind
from engine.worker import Worker

KV_BYTES_PER_TOKEN = 23_040
HOP_S = 0.0005
RESTART_S = 1.5
ANSWERS = (
    "A kitchen that splits the work can keep plating while somebody else chops, as long as the pass is wide enough.",
    "Sure! Prefill reads the whole prompt at once; decode then adds one token after the other, and never rushes.",
    "The tray holds keys and values for every token, so its weight grows with the length of the order.",
    "If the belt is narrow, the plates wait. If one cook does both, they wait as well, only for another reason.",
)
SHORT_PROMPTS = ("What is a KV cache?", "Why did my answer stop?", "Name three herbs.", "Say it in one line.")
LONG_PROMPT = "Summarise this 40-page report on kitchen logistics, and quote every figure in it: "


def requests(count: int, *, every_s: float = 0.45, long_every: int = 4, long_tokens: int = 900) -> list[Request]:
    """Short prompts with a long one among them now and then."""
    return [
        Request(
            id=f"r{n}",
            prompt_ids=(1,) * (long_tokens if n % long_every == 2 else 40 + 17 * n % 60),
            max_output_tokens=30 + 7 * n % 25,
            arrival_s=0.2 + every_s * n,
            prompt=LONG_PROMPT if n % long_every == 2 else SHORT_PROMPTS[n % len(SHORT_PROMPTS)],
        )
        for n in range(count)
    ]


def deployment(kind: Kind, workers: int = 2, prefill_workers: int = 1) -> Deployment:
    return Deployment(kind=kind, workers=workers, prefill_workers=prefill_workers, chunk=128)


def cook(
    kind: Kind,
    orders: Iterable[Request] | None = None,
    *,
    workers: int = 2,
    prefill_workers: int = 1,
    link: LinkSpec | None = None,
    happenings: Callable[["Kitchen"], None] | None = None,
) -> list[Event]:
    """The log of one run, in the order in which it was heard; `happenings` may plan faults and changes."""
    kitchen = Kitchen(deployment(kind, workers, prefill_workers), link or LinkSpec(20e6, 0.002))
    for request in requests(12) if orders is None else orders:
        kitchen.at(request.arrival_s, partial(_submit, request))
    if happenings:
        happenings(kitchen)
    kitchen.run()
    return kitchen.log


def _submit(request: Request, kitchen: "Kitchen") -> Iterable[Output]:
    return kitchen.router.submit(request, kitchen.t)


def step_s(plan: Plan) -> float:
    prefill = sum(piece.tokens for piece in plan if piece.tokens > 1)
    return 0.035 + 0.00105 * prefill + 0.0015 * sum(piece.tokens == 1 for piece in plan)


class Kitchen:
    def __init__(self, deployment: Deployment, link: LinkSpec, blocks: int = 320) -> None:
        self.t = 0.0
        self.blocks = blocks
        self.log: list[Event] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        names = [f"worker-{n}" for n in range(deployment.workers)]
        self.router = Router(deployment, names, link)
        self.log.append(self.router.deployed(0.0))
        self.apply(self.router.set_link(link, 0.0))
        self.cooks = {name: Cook(self, name) for name in names}
        for one in self.cooks.values():
            one.open()

    def at(self, t: float, act: Callable[["Kitchen"], Iterable[Output]]) -> None:
        self.after(t - self.t, lambda: self.apply(act(self)))

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.t + delay_s, next(self._number), act))

    def run(self) -> None:
        while self._heap:
            self.t, _, act = heapq.heappop(self._heap)
            act()

    def apply(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self.after(HOP_S, partial(self.cooks[output.worker].hear, output.command))
            else:
                self.log.append(output)

    def kill(self, name: str) -> Iterable[Output]:
        """The process is gone; a new one of that name is ready a while later."""
        self.cooks[name].alive = False
        self.cooks[name] = Cook(self, name)
        self.after(RESTART_S, self.cooks[name].open)
        return self.router.worker_down(name, "killed", self.t)


class Cook:
    """One worker: a real `Worker` whose steps take made-up times."""

    def __init__(self, kitchen: Kitchen, name: str) -> None:
        self.kitchen = kitchen
        self.name = name
        self.mind = Worker(name, BlockPool(kitchen.blocks, BLOCK_TOKENS))
        self.alive = True
        self.busy = False
        self.link = LinkSpec()
        self.road_free_s = 0.0
        self.shipping: set[str] = set()
        self.heard: list[Command] = []

    def open(self) -> None:
        self.say([Ready(1, self.kitchen.blocks, BLOCK_TOKENS, KV_BYTES_PER_TOKEN, 8192, "fp32", {"shm": b""})])

    def say(self, outputs: Iterable[Event | Report]) -> None:
        for output in outputs:
            report = output if isinstance(output, Report) else Said((worded(output),))
            self.kitchen.after(HOP_S, partial(self._arrive, report))

    def _arrive(self, report: Report) -> None:
        if self.alive:
            self.kitchen.apply(self.kitchen.router.heard(self.name, report, self.kitchen.t))

    def hear(self, command: Command) -> None:
        self.heard.append(command)
        self.work()

    def work(self) -> None:
        if self.busy or not self.alive:
            return
        for command in self.heard:
            self.obey(command)
        self.heard.clear()
        plan, said = self.mind.plan(self.kitchen.t)
        self.say(said)
        if plan:
            self.busy = True
            self.kitchen.after(step_s(plan), lambda: self.stepped(plan))

    def stepped(self, plan: Plan) -> None:
        if not self.alive:
            return
        sampled = [piece.index if piece.sample is not None else None for piece in self.mind.pieces(plan)]
        self.say(self.mind.finish(plan, sampled, self.kitchen.t))
        self.busy = False
        self.work()

    def obey(self, command: Command) -> None:
        match command:
            case Configure():
                self.mind.configure(command.policy, command.chunk, command.samples_first_token)
            case SetLink():
                self.link = command.link
            case Prefill():
                self.mind.submit(command.request, command.output_ids)
            case Reserve():
                self.say(self.mind.reserve(command.request, command.tokens))
            case Ship():
                self.ship(command)
            case Admit():
                self.mind.admit(command.request, command.output_ids)
                self.say([Compared(command.request.id, True)])
            case Drop():
                self.shipping.discard(command.request)
                self.say(self.mind.drop(command.request, self.kitchen.t))

    def ship(self, ship: Ship) -> None:
        """One tray after the other, in ten pieces each."""
        nbytes = len(ship.blocks) * BLOCK_TOKENS * KV_BYTES_PER_TOKEN
        begin = max(self.kitchen.t, self.road_free_s)
        seconds = self.link.seconds(nbytes) if self.link.bandwidth_bytes_per_s else nbytes / 1.2e9
        self.road_free_s = begin + seconds
        self.shipping.add(ship.request)
        configured = self.link.bandwidth_bytes_per_s

        def happen(t: float, *said: Event | Report) -> None:
            wait = t - self.kitchen.t
            self.kitchen.after(wait, lambda: self.say(said) if ship.request in self.shipping else None)

        happen(begin, HandoffStarted(begin, ship.request, self.name, ship.target, nbytes, "shm", configured))
        for tenth in range(1, 11):
            t = begin + seconds * tenth / 10
            happen(t, HandoffMoved(t, ship.request, self.name, ship.target, nbytes * tenth // 10))
        happen(begin + seconds, Shipped(ship.request, nbytes, seconds, configured, ""))


def worded(event: Event) -> Event:
    """Tokens get words, as the live worker's detokenizer would give them."""
    if not isinstance(event, TokenMade):
        return event
    words = ANSWERS[int(event.request[1:]) % len(ANSWERS)].split(" ")
    word = words[event.index % len(words)]
    return msgspec.structs.replace(event, text=word if event.index == 0 else " " + word)
