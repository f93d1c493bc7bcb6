"""One simulated worker: the engine's `Worker`, a mailbox, and steps that take as long as the cost model says.

The counterpart of `engine.live.process.worker_process`. Commands are handled between steps; only a handoff starts at
once, as with the live courier.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from random import Random
from typing import Protocol

import msgspec

from engine.blocks import BlockPool
from engine.events import HandoffMoved, HandoffStarted
from engine.messages import (
    Admit,
    Command,
    Compared,
    Configure,
    Drop,
    Prefill,
    Ready,
    Reserve,
    SetLink,
    Ship,
    Shipped,
)
from engine.plan import Plan
from engine.policy import Policy
from engine.request import Request
from engine.router import Router
from engine.scenario import BLOCK_TOKENS, TRANSPORTS
from engine.sim.clock import NS_PER_S, Alarm, Clock, ends, ns
from engine.sim.cost import Seconds, StepCost
from engine.sim.leap import Leapt
from engine.sim.network import Flow, Network
from engine.worker import MAX_RUNNING, UNKNOWN, Output, Worker

MOVED_EVERY_NS = 50_000_000  # as often as the live courier reports progress


class WorkerSpec(msgspec.Struct, frozen=True):
    """What one simulated worker is. `gpus`: how many GPUs it counts as (tensor parallelism). `accept_s`: how long a
    request is on its way to it, before it can be prefilled.

    `handoff_bytes_per_s`: its transport's own limit, however fast the link is (None: unlimited). `scatter`: the factors
    by which real decode steps differed from their cost, in order; `prefill_scatter`: the same for steps with prefill.
    Steps use them in order from a seeded starting point, so that several slow steps in a row occur here too (a
    moving-block bootstrap).
    """

    cost: StepCost
    kv_blocks: int = 2048
    kv_bytes_per_token: int = 23_040
    context_tokens: int = 8192
    layers: int = 30
    max_running: int = MAX_RUNNING
    gpus: int = 1
    accept_s: float = 0.0
    handoff_bytes_per_s: float | None = None
    scatter: tuple[float, ...] = ()
    prefill_scatter: tuple[float, ...] = ()


class Surroundings(Protocol):
    """What a simulated worker needs from its cluster."""

    clock: Clock
    network: Network
    router: Router
    leaping: bool
    watched: bool
    seed: int
    own: Mapping[str, Policy]

    def heard(self, worker: str, outputs: Iterable[Output]) -> None: ...
    def leapt(self, leap: Leapt, told: int) -> None: ...
    def cached(self, request: Request, worker: str) -> int: ...
    def landed(self, request: Request, worker: str) -> None: ...


class _Steps:
    """One step or several alike, under way: their plan, and when each ends."""

    __slots__ = ("ends_ns", "leaps", "plan", "rows", "told")

    def __init__(self, plan: Plan, rows: int, ends_ns: list[int], leaps: bool) -> None:
        self.plan = plan
        self.rows = rows
        self.ends_ns = ends_ns
        self.leaps = leaps
        self.told = 0  # steps whose tokens the router's loads already include


class Station:
    """A simulated worker on its cluster's clock; the router's commands go in, its outputs go to `cluster.heard`."""

    def __init__(self, cluster: Surroundings, name: str, spec: WorkerSpec) -> None:
        self.name = name
        self.spec = spec
        self._cluster = cluster
        self._clock = cluster.clock
        pool = BlockPool(spec.kv_blocks, BLOCK_TOKENS)
        self._mind = Worker(name, pool, max_running=spec.max_running)
        self._mailbox: deque[Command] = deque()
        self._layered: dict[str, Ship] = {}  # requests whose layers are sent as they are computed
        self._flows: dict[str, Flow] = {}
        self._steps: _Steps | None = None
        self._alarm: Alarm | None = None
        self._busy = False
        self._taken = Random(f"{cluster.seed} {name}").randrange(1_000_000)  # steps; where in the scatter it starts

    def ready(self) -> Ready:
        """The message that a live worker sends when it has started."""
        spec = self.spec
        endpoints = {str(name): self.name.encode() for name in TRANSPORTS}
        return Ready(0, spec.kv_blocks, BLOCK_TOKENS, spec.kv_bytes_per_token, spec.context_tokens, "sim", endpoints)

    # ---- the router's commands

    def command(self, command: Command) -> None:
        """Handle a command: a handoff and a link change at once, everything else after the current step."""
        if isinstance(command, Ship):
            self._ship(command)
            return
        if isinstance(command, SetLink):
            self._cluster.network.change(command.link)
            return
        if self.spec.accept_s and isinstance(command, Prefill):
            self._clock.alarm(ns(self.spec.accept_s), lambda _: self._take(command))
        else:
            self._take(command)

    def _take(self, command: Command) -> None:
        self._mailbox.append(command)
        if self._steps is not None and len(self._steps.ends_ns) > 1:
            self._cut(self._steps)
        elif not self._busy:
            self._busy = True
            self._begin()

    def tell_progress(self, now: int) -> None:
        """Update the router's loads to what a worker that reports every token would have reported by now."""
        steps = self._steps
        if steps is None or not steps.leaps or steps.ends_ns[steps.told] > now:
            return
        ended = bisect_right(steps.ends_ns, now, 0, len(steps.ends_ns) - 1)  # the last step says so itself
        if ended > steps.told:
            self._cluster.router.progress(self.name, (ended - steps.told) * steps.rows)
            steps.told = ended

    # ---- steps

    def _begin(self) -> None:
        """Handle waiting commands, then start the next step, if there is one."""
        while self._mailbox:
            self._obey(self._mailbox.popleft())
        now = self._clock.ns
        plan, said = self._mind.plan(now / NS_PER_S)
        if not plan:
            self._busy = False
            return
        self._cluster.heard(self.name, said)
        self._steps = steps = self._timed(plan, now)
        for piece in plan if self._layered else ():
            if ship := self._layered.pop(piece.request, None):
                self._ship_layers(ship, now, steps.ends_ns[0])
        self._alarm = self._clock.alarm(steps.ends_ns[-1] - now, self._ended)

    def _timed(self, plan: Plan, now: int) -> _Steps:
        prefill = [(piece.start, piece.tokens) for piece in plan if piece.tokens > 1]
        rows = len(plan) - len(prefill)
        context = rows and sum([piece.start for piece in plan if piece.tokens == 1]) + rows
        cost, steps = self.spec.cost, 0
        if self._cluster.leaping and not (prefill and self._cluster.watched):  # who watches sees a prompt's every piece
            steps = self._mind.steady_steps(plan)
        scatter = self.spec.prefill_scatter if prefill else self.spec.scatter
        if steps <= 1 and not scatter:
            return _Steps(plan, rows, [now + ns(cost.step_s(prefill, rows, context))], steps > 0)
        if prefill and steps > 1:
            ((start, tokens),) = prefill  # with a second one, the first would end in this step
            pieces = [(start + step * tokens, tokens) for step in range(steps)]
            seconds: Seconds = [cost.step_s([piece], rows, context + step * rows) for step, piece in enumerate(pieces)]
        elif steps > 1:
            seconds = cost.decode_s(rows, context, steps)
        else:
            seconds = [cost.step_s(prefill, rows, context)]
        if scatter:
            seconds = [s * scatter[(self._taken + step) % len(scatter)] for step, s in enumerate(seconds)]
        return _Steps(plan, rows, ends(seconds, now), steps > 0)

    def _cut(self, steps: _Steps) -> None:
        """A command came in: end the leap with the step that is under way."""
        now = self._clock.ns
        under_way = bisect_right(steps.ends_ns, now)
        if under_way + 1 < len(steps.ends_ns):
            del steps.ends_ns[under_way + 1 :]
            self._alarm = self._clock.alarm(steps.ends_ns[-1] - now, self._ended)

    def _ended(self, alarm: Alarm) -> None:
        if alarm is not self._alarm:
            return
        steps, self._steps = self._steps, None
        assert steps is not None
        plan, t = steps.plan, self._clock.s
        self._taken += len(steps.ends_ns)
        if not steps.leaps:
            samples = self._mind.samples
            sampled = [UNKNOWN if samples(piece) else None for piece in plan]
            self._cluster.heard(self.name, self._mind.finish(plan, sampled, t))
        else:
            ends_s = tuple([end / NS_PER_S for end in steps.ends_ns])
            self._cluster.leapt(Leapt(t, self.name, plan, ends_s), steps.told)
            if said := self._mind.leap(plan, len(ends_s), t):
                self._cluster.heard(self.name, said)
        self._begin()

    def _obey(self, command: Command) -> None:
        match command:
            case Prefill():
                if command.ship is not None:
                    self._layered[command.request.id] = command.ship
                cached = self._cluster.cached(command.request, self.name)
                self._mind.submit(command.request, command.output_ids, cached)
            case Reserve():
                self._say(self._mind.reserve(command.request, command.tokens))
            case Admit():
                self._mind.admit(command.request, command.output_ids)
                self._cluster.landed(command.request, self.name)
                self._say([Compared(command.request.id, True)])
            case Drop():
                self._layered.pop(command.request, None)
                if flow := self._flows.pop(command.request, None):
                    self._cluster.network.abort(flow)
                self._say(self._mind.drop(command.request, self._clock.s))
            case Configure():
                own = self._cluster.own.get(self.name)
                self._mind.configure(command.policy, command.chunk, command.samples_first_token, own)
            case _:
                raise AssertionError(f"{command} is not a command for a simulated worker")

    def _say(self, outputs: list[Output]) -> None:
        self._cluster.heard(self.name, outputs)

    # ---- handoffs

    def _ship(self, ship: Ship, not_before_ns: int = 0) -> None:
        spec, network = self.spec, self._cluster.network
        nbytes = len(ship.blocks) * BLOCK_TOKENS * spec.kv_bytes_per_token

        def moved(landed: int) -> None:
            if self._cluster.watched:
                self._say([HandoffMoved(self._clock.s, ship.request, self.name, ship.target, landed)])

        def look(_: Alarm) -> None:
            if not flow.over:
                moved(network.carried(flow))
                self._clock.alarm(MOVED_EVERY_NS, look)

        def started() -> None:
            if self._cluster.watched:
                self._clock.alarm(MOVED_EVERY_NS, look)
            t, bandwidth = self._clock.s, network.link.bandwidth_bytes_per_s
            transport = self._cluster.router.deployment.transport
            self._say([HandoffStarted(t, ship.request, self.name, ship.target, nbytes, transport, bandwidth)])

        def landed(seconds: float) -> None:
            self._flows.pop(ship.request, None)
            moved(nbytes)
            bandwidth = network.link.bandwidth_bytes_per_s
            self._say([Shipped(ship.request, nbytes, max(seconds, 1 / NS_PER_S), bandwidth, "")])

        last_bytes = nbytes / spec.layers if not_before_ns else 0.0
        blocks = len(ship.blocks)
        flow = Flow(self.name, ship.target, nbytes, blocks, started, landed, not_before_ns, last_bytes, ship.request)
        self._flows[ship.request] = flow
        network.send(flow)

    def _ship_layers(self, ship: Ship, begun_ns: int, ends_ns: int) -> None:
        """The first layer can be sent once it has been computed, the last one when the step ends."""
        first_ns = (ends_ns - begun_ns) // self.spec.layers
        self._clock.alarm(first_ns, lambda _: self._ship(ship, ends_ns))
