"""One simulated worker: the engine's `Worker`, a mailbox, and steps that take as long as the cost model says.

The counterpart of `engine.live.process.worker_process`. Commands are handled between steps; only a handoff starts at
once, as with the live courier.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from random import Random
from typing import Protocol

import msgspec

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
from engine.policy import Policy
from engine.request import Request
from engine.router import Router
from engine.scenario import BLOCK_TOKENS, TRANSPORTS
from engine.sim.clock import PS_PER_S, Alarm, Clock, ps
from engine.sim.cost import StepCost
from engine.sim.counted_pool import CountedPool
from engine.sim.ends import Ends
from engine.sim.leap import Batch, Happening, Leapt
from engine.sim.leaper import Leaper
from engine.sim.network import Flow, Network
from engine.sim.timing import Timing
from engine.worker import MAX_RUNNING, UNKNOWN, Output, Worker

MOVED_EVERY_PS = PS_PER_S // 20  # as often as the live courier reports progress


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

    def write(self, happening: Happening) -> object: ...
    def heard(self, worker: str, outputs: Iterable[Output]) -> None: ...
    def leapt(self, leap: Leapt, told: int) -> None: ...
    def cached(self, request: Request, worker: str) -> int: ...
    def landed(self, request: Request, worker: str) -> None: ...


class _Steps(msgspec.Struct, gc=False):  # never in a cycle
    """One step or several alike, under way: what each computes, and when they end. `said`: that the first began."""

    batch: Batch
    ends: Ends
    leaps: bool
    said: bool
    told: int = 0  # steps whose tokens the router's loads already include


class Station:
    """A simulated worker on its cluster's clock; the router's commands go in, its outputs go to `cluster.heard`."""

    def __init__(self, cluster: Surroundings, name: str, spec: WorkerSpec) -> None:
        self.name = name
        self.spec = spec
        self._cluster = cluster
        self._clock = cluster.clock
        pool = CountedPool(spec.kv_blocks, BLOCK_TOKENS)
        self._leaper = Leaper(name, pool, spec.max_running) if cluster.leaping else None
        self._mind = self._leaper or Worker(name, pool, max_running=spec.max_running)
        taken = Random(f"{cluster.seed} {name}").randrange(1_000_000)  # where in the scatter it starts
        self._timing = Timing(spec.cost, spec.scatter, spec.prefill_scatter, taken)
        self._mailbox: deque[Command] = deque()
        self._layered: dict[str, Ship] = {}  # requests whose layers are sent as they are computed
        self._flows: dict[str, Flow] = {}
        self._steps: _Steps | None = None
        self._alarm: Alarm | None = None
        self._busy = False
        self._gone = False

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
            self._clock.alarm(ps(self.spec.accept_s), lambda _: self._take(command))
        else:
            self._take(command)

    def _take(self, command: Command) -> None:
        if self._gone:
            return
        self._mailbox.append(command)
        if self._steps is not None:
            self._cut(self._steps)
        elif not self._busy:
            self._busy = True
            self._begin()

    def tell_progress(self, now: int) -> None:
        """Update the router's loads to what a worker that reports every token would have reported by now."""
        steps = self._steps
        if steps is None or not (untold := steps.ends.steps - 1):  # the last one says so itself
            return
        ended = min(steps.ends.ended(now), untold)
        if ended > steps.told:
            self._cluster.router.progress(self.name, (ended - steps.told) * len(steps.batch.jobs))
            steps.told = ended

    # ---- steps

    def _begin(self) -> None:
        """Handle waiting commands, then start the next step, if there is one."""
        while self._mailbox:
            self._obey(self._mailbox.popleft())
        now = self._clock.ps
        steps = self._steps = self._next(now)
        if steps is None:
            self._busy = False
            return
        if self._layered:
            for piece in steps.batch.pieces:
                if ship := self._layered.pop(piece.request, None):
                    self._ship_layers(ship, now, steps.ends.until(1).last)
        self._alarm = self._clock.alarm(steps.ends.lasts, self._ended)

    def _next(self, now: int) -> _Steps | None:
        """The next step, or as many as are alike."""
        if self._leaper is None:
            plan, outputs = self._mind.plan(now / PS_PER_S)
            self._cluster.heard(self.name, outputs)
            batch = Batch((), 0, 0, plan)
            return _Steps(batch, self._timing.ends(batch, 1, now), leaps=False, said=True) if plan else None
        if (found := self._leaper.begin()) is None:
            return None
        watched = self._cluster.watched
        piecewise = watched and any(piece.tokens > 1 for piece in found.pieces)  # who watches sees a prompt's every one
        steps = 0 if piecewise else self._leaper.steady_steps(found)
        if said := watched or not steps:
            self._cluster.write(found.started(now / PS_PER_S, self.name))
        return _Steps(found, self._timing.ends(found, steps or 1, now), steps > 0, said)

    def _cut(self, steps: _Steps) -> None:
        """A command came in: end the leap with the step that is under way."""
        if steps.ends.steps == 1:
            return
        now = self._clock.ps
        under_way = steps.ends.ended(now)
        if under_way + 1 < steps.ends.steps:
            steps.ends = steps.ends.until(under_way + 1)
            self._alarm = self._clock.alarm(steps.ends.last - now, self._ended)

    def _ended(self, alarm: Alarm) -> None:
        if alarm is not self._alarm:
            return
        steps, self._steps = self._steps, None
        assert steps is not None
        batch, ends, t = steps.batch, steps.ends, self._clock.s
        taken = ends.steps
        self._timing.taken += taken
        if steps.leaps and self._leaper:
            self._cluster.leapt(Leapt(t, self.name, batch, ends, steps.said), steps.told)
            said = self._leaper.leap(batch, taken, t)
        else:
            plan, samples = batch.plan, self._mind.samples
            said = self._mind.finish(plan, [UNKNOWN if samples(piece) else None for piece in plan], t)
        if said:
            self._cluster.heard(self.name, said)
        self._begin()

    def stop(self) -> None:
        """It is gone with all that it holds. Of the steps under way, those that have ended count."""
        steps, self._steps, self._alarm, self._gone = self._steps, None, None, True
        for flow in self._flows.values():
            self._cluster.network.abort(flow)
        if self._leaper is None:
            return
        if steps and steps.leaps:
            ended, batch, t = steps.ends.ended(self._clock.ps), steps.batch, steps.ends.begun / PS_PER_S
            if ended:
                ends = steps.ends.until(ended)
                t = ends.last / PS_PER_S
                self._cluster.leapt(Leapt(t, self.name, batch, ends, steps.said), steps.told)
                self._cluster.heard(self.name, self._leaper.leap(batch, ended, t))
            if ended < steps.ends.steps and (ended or not steps.said):
                self._cluster.write(batch.after(ended).started(t, self.name))
        for request, tokens in self._leaper.made().items():
            self._cluster.router.learn(request, tokens)

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

    def _ship(self, ship: Ship, not_before_ps: int = 0) -> None:
        if self._gone:
            return
        spec, network = self.spec, self._cluster.network
        nbytes = len(ship.blocks) * BLOCK_TOKENS * spec.kv_bytes_per_token

        def moved(landed: int) -> None:
            if self._cluster.watched:
                self._say([HandoffMoved(self._clock.s, ship.request, self.name, ship.target, landed)])

        def look(_: Alarm) -> None:
            if not flow.over:
                moved(network.carried(flow))
                self._clock.alarm(MOVED_EVERY_PS, look)

        def started() -> None:
            if self._cluster.watched:
                self._clock.alarm(MOVED_EVERY_PS, look)
            t, bandwidth = self._clock.s, network.link.bandwidth_bytes_per_s
            transport = self._cluster.router.deployment.transport
            self._say([HandoffStarted(t, ship.request, self.name, ship.target, nbytes, transport, bandwidth)])

        def landed(seconds: float) -> None:
            self._flows.pop(ship.request, None)
            moved(nbytes)
            bandwidth = network.link.bandwidth_bytes_per_s
            self._say([Shipped(ship.request, nbytes, max(seconds, 1 / PS_PER_S), bandwidth, "")])

        last_bytes = nbytes / spec.layers if not_before_ps else 0.0
        blocks = len(ship.blocks)
        flow = Flow(self.name, ship.target, nbytes, blocks, started, landed, not_before_ps, last_bytes, ship.request)
        self._flows[ship.request] = flow
        network.send(flow)

    def _ship_layers(self, ship: Ship, begun_ps: int, ends_ps: int) -> None:
        """The first layer can be sent once it has been computed, the last one when the step ends."""
        first_ps = (ends_ps - begun_ps) // self.spec.layers
        self._clock.alarm(first_ps, lambda _: self._ship(ship, ends_ps))
