"""Router and Workers in virtual time, without processes: every order of messages that a real cluster could see.

Steps take time by their tokens, handoffs by the link's formula, messages a little. Any worker may die at any time.
The "model" is a sum: the next token depends on all tokens before it, so a lost or doubled token changes the answer.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from functools import partial

from engine.blocks import BlockPool
from engine.events import Event, HandoffStarted
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
    Ship,
    Shipped,
)
from engine.plan import Plan
from engine.request import Request
from engine.router import Output, Router, Send
from engine.scenario import BLOCK_TOKENS, Deployment
from engine.worker import Worker


def next_token(tokens: Iterable[int]) -> int:
    value = 7
    for token in tokens:
        value = (value * 31 + token) % 997
    return value


def answer(request: Request) -> list[int]:
    """The answer of a single undisturbed machine."""
    tokens = list(request.prompt_ids)
    while True:
        tokens.append(next_token(tokens))
        made = tokens[len(request.prompt_ids) :]
        if len(made) == request.max_output_tokens or made[-1] in request.stop_ids:
            return made


class Station:
    """One worker process: a Worker, its mailbox, its courier, and the KV that is really there."""

    kv_bytes_per_token = 100
    context_tokens = 10**6

    def __init__(self, cluster: "VirtualCluster", name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.mind = Worker(name, BlockPool(cluster.blocks, BLOCK_TOKENS))
        self.mailbox: list[Command] = []
        self.busy = False
        self.alive = True
        self.ship_layers: dict[str, Ship] = {}
        self.shipping: dict[str, Ship] = {}
        sizes = (cluster.blocks, BLOCK_TOKENS, self.kv_bytes_per_token, self.context_tokens)
        self.report([Ready(1, *sizes, "fp32", {"shm": name.encode()})])

    def report(self, outputs: Iterable[Event | Report]) -> None:
        for output in outputs:
            message = output if isinstance(output, Report) else Said((self.noted(output),))
            self.cluster.after(self.cluster.hop_s(), self._arrive(message), channel=self.name + "<")

    def noted(self, event: Event) -> Event:
        """An event as it is reported."""
        return event

    def step_s(self, plan: Plan) -> float:
        return 0.005 + 0.001 * sum(piece.tokens for piece in plan)

    def _arrive(self, message: Report) -> Callable[[], None]:
        return lambda: (
            self.cluster.apply(self.cluster.router.heard(self.name, message, self.cluster.t)) if self.alive else None
        )

    def command(self, command: Command) -> None:
        if self.alive:
            self.mailbox.append(command)
            self.work()

    def work(self) -> None:
        if self.busy or not self.alive:
            return
        for command in self.mailbox:
            self.obey(command)
        self.mailbox.clear()
        plan, said = self.mind.plan(self.cluster.t)
        self.report(said)
        if plan:
            self.busy = True
            for piece in plan:  # layers go out while the step runs, so a tray may have landed before it ends
                if piece.request in self.ship_layers:
                    self.ship(self.ship_layers.pop(piece.request))
            self.cluster.after(self.step_s(plan), lambda: self.stepped(plan))

    def stepped(self, plan: Plan) -> None:
        if not self.alive:
            return
        sampled: list[int | None] = []
        for piece in self.mind.pieces(plan):
            job = self.mind.job(piece.request)
            sampled.append(next_token(job.tokens) if piece.sample is not None else None)
        self.report(self.mind.finish(plan, sampled, self.cluster.t))
        self.busy = False
        self.work()

    def obey(self, command: Command) -> None:
        t = self.cluster.t
        match command:
            case Configure():
                self.mind.configure(command.policy, command.chunk, command.samples_first_token)
            case Prefill():
                if command.ship:
                    self.ship_layers[command.request.id] = command.ship
                self.mind.submit(command.request, command.output_ids)
            case Reserve():
                self.report(self.mind.reserve(command.request, command.tokens))
            case Ship():
                self.ship(command)
            case Admit():
                count = command.nbytes // (BLOCK_TOKENS * self.kv_bytes_per_token)
                blocks = self.mind.blocks_of(command.request.id)[:count]
                intact = self.cluster.landed.get((self.name, blocks)) == command.digest
                if intact:
                    self.mind.admit(command.request, command.output_ids)
                self.report([Compared(command.request.id, intact)])
            case Drop():
                self.shipping.pop(command.request, None)
                self.ship_layers.pop(command.request, None)
                self.report(self.mind.drop(command.request, t))

    def ship(self, ship: Ship) -> None:
        begun_s, nbytes = self.cluster.t, self.nbytes(ship)
        self.shipping[ship.request] = ship
        self.report([HandoffStarted(begun_s, ship.request, self.name, ship.target, nbytes, "shm", None)])
        self.cluster.after(self.cluster.router.link.seconds(nbytes), lambda: self.land(ship, begun_s))

    def nbytes(self, ship: Ship) -> int:
        return len(ship.blocks) * BLOCK_TOKENS * self.kv_bytes_per_token

    def sends(self, ship: Ship) -> bool:
        """Whether this handoff still goes on."""
        return self.alive and self.shipping.get(ship.request) is ship

    def land(self, ship: Ship, begun_s: float, configured_bytes_per_s: float | None = None) -> None:
        if not self.sends(ship):
            return
        cluster, target = self.cluster, self.cluster.stations[ship.target]
        digest = f"{ship.request}@{begun_s}"
        owner = next((r for r, b in target.mind.pool._owned.items() if set(b) & set(ship.blocks)), ship.request)
        assert not target.alive or owner == ship.request, f"{ship.request} written over {owner}"
        cluster.landed[ship.target, ship.blocks] = digest
        seconds = max(cluster.t - begun_s, 1e-9)
        self.report([Shipped(ship.request, self.nbytes(ship), seconds, configured_bytes_per_s, digest)])


class VirtualCluster:
    """The front and its workers. `blocks`: of each worker; `jitter_seed`: of how long messages take."""

    restart_s = 0.5

    def __init__(self, deployment: Deployment, link: LinkSpec, blocks: int = 64, jitter_seed: int = 0) -> None:
        self.t = 0.0
        self.blocks = blocks
        self.log: list[Event] = []
        self.landed: dict[tuple[str, tuple[int, ...]], str] = {}
        self._rng = random.Random(jitter_seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._channel_free: dict[str, float] = {}
        names = [f"worker-{n}" for n in range(deployment.workers)]
        self.router = Router(deployment, names, link)
        self.stations: dict[str, Station] = {}
        for name in names:
            self.stations[name] = self.station(name)

    def station(self, name: str) -> Station:
        """A new worker process."""
        return Station(self, name)

    def hop_s(self) -> float:
        """How long the next message takes."""
        return self._rng.uniform(0.0001, 0.002)

    def after(self, delay_s: float, act: Callable[[], None], channel: str = "") -> None:
        """Act later; what goes over one channel arrives in the order it was sent."""
        at = max(self.t + delay_s, self._channel_free.get(channel, 0.0)) if channel else self.t + delay_s
        if channel:
            self._channel_free[channel] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, act))

    def apply(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                station = self.stations[output.worker]
                self.after(self.hop_s(), partial(station.command, output.command), channel=output.worker + ">")
            else:
                self.log.append(output)

    def submit(self, request: Request) -> None:
        self.after(request.arrival_s, lambda: self.apply(self.router.submit(request, self.t)))

    def at(self, t: float, act: Callable[[], Iterable[Output]]) -> None:
        self.after(t, lambda: self.apply(act()))

    def kill(self, name: str, *, exhausted: bool = False) -> Iterable[Output]:
        """kill -9, as the router sees it: the channel closes, and later a new process of that name is ready.
        `exhausted`: it ran out of memory instead."""
        station = self.stations[name]
        if not station.alive:
            return []
        station.alive = False
        self.after(self.restart_s, lambda: self.stations.__setitem__(name, self.station(name)))
        return self.router.worker_down(name, "killed", self.t, exhausted=exhausted)

    def run(self, limit: int = 200_000) -> None:
        """Run until nothing is left to do. Fails after `limit` events, since something then repeats for ever."""
        for _ in range(limit):
            if not self._heap:
                return
            self.t, _, act = heapq.heappop(self._heap)
            act()
        raise AssertionError("the cluster never comes to rest")
