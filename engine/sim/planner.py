"""Pools that grow, shrink and change roles under changing load, after the rules of NVIDIA Dynamo's planner.

Load mode, every 5 s: a pool gets one worker more if all of its workers miss their target (estimated TTFT for prefill,
ITL or full memory for decode), and one less if all stay below 80 % of it, but not less than throughput mode would give
it. Throughput mode, every 180 s: each pool gets as many workers as the demand of the last 180 s takes at the rate that
one worker sustains within its target.

A worker that is wanted takes `startup_s` to be there. One that is not wanted gets no new requests and goes when it has
ended those it has; if the other pool wants one at the same moment, it changes roles instead, which takes `switch_s`.
Different from Dynamo: demand is predicted to stay as it was (its "constant" predictor), and what a worker sustains
comes from the cost model instead of a profile.
"""

import math
from typing import Literal, get_args

import msgspec

from engine.errors import BadInput
from engine.loads import Load
from engine.sim.clock import Alarm, ps
from engine.sim.cluster import Cluster
from engine.sim.station import WorkerSpec

Pool = Literal["prefill_only", "decode_only"]
Mode = Literal["load", "throughput"]
MODES: tuple[Mode, ...] = get_args(Mode)
POOLS: tuple[Pool, Pool] = ("prefill_only", "decode_only")


class PlannerSpec(msgspec.Struct, frozen=True):
    """Targets in seconds; `most_workers` of both pools together. Defaults are Dynamo's where it has one.

    `demand_s`: over how long demand is seen.
    """

    mode: Mode = "load"
    interval_s: float = 5.0
    demand_s: float = 180.0
    ttft_s: float = 0.5
    itl_s: float = 0.05
    down_below: float = 0.8
    fewest: int = 1
    most_workers: int = 8
    startup_s: float = 30.0
    switch_s: float = 2.0
    change_roles: bool = True

    def checked(self) -> "PlannerSpec":
        """The spec itself. Raises BadInput if a time is not above 0, or two pools do not fit into `most_workers`."""
        for field in ("interval_s", "demand_s", "ttft_s", "itl_s", "startup_s", "switch_s"):
            value = getattr(self, field)
            if not value > 0:
                raise BadInput(f"planner {field}", value, "above 0, in seconds")
        if not 2 * self.fewest <= self.most_workers:
            raise BadInput("planner most workers", self.most_workers, f"{2 * self.fewest} or more")
        return self


class Planned(msgspec.Struct, frozen=True):
    """What the planner saw and wanted at second `t`: by how many workers each pool is to change."""

    t: float
    workers: dict[Pool, int]
    change: dict[Pool, int]


class Planner:
    """Watches a disaggregated cluster from its start to its end. `history` says what it did."""

    def __init__(self, cluster: Cluster, spec: PlannerSpec, worker: WorkerSpec) -> None:
        self.spec = spec.checked()
        self.history: list[Planned] = []
        self._cluster = cluster
        self._worker = worker
        self._pool: dict[str, Pool] = {
            name: "prefill_only" if policy == "prefill_only" else "decode_only"
            for name, policy in cluster.router.roster.roles.items()
        }  # who is in which pool, or on the way there
        self._leaving: dict[str, Pool | None] = {}  # who gets no new requests, and the pool it will be in then
        self._made = len(self._pool)
        self._next_s = spec.interval_s
        self._tick_ps = ps(min(spec.interval_s, 1.0))  # how soon it is seen that a worker has ended its requests
        cluster.clock.alarm(self._tick_ps, self._look)

    def size(self, pool: Pool) -> int:
        """Workers in the pool, those that start or come over included."""
        return sum(where == pool for where in self._pool.values())

    def _look(self, _: Alarm) -> None:
        self._see_them_off()
        if self._cluster.clock.s + 1e-9 >= self._next_s:
            self._next_s += self.spec.interval_s
            self._plan()
        if not self._cluster.over:
            self._cluster.clock.alarm(self._tick_ps, self._look)

    # ---- how many

    def _plan(self) -> None:
        change = self._by_load() if self.spec.mode == "load" else self._by_throughput()
        workers = {pool: self.size(pool) for pool in POOLS}
        if any(change.values()):
            self.history.append(Planned(self._cluster.clock.s, workers, dict(change)))
        grows, shrinks = ([pool for pool in POOLS if sign * change[pool] > 0] for sign in (1, -1))
        for pool in shrinks:
            other = grows[0] if grows and self.spec.change_roles else None
            for n in range(-change[pool]):
                goes_over = other is not None and n < change[other]
                self._retire(pool, other if goes_over else None)
                if other is not None and goes_over:
                    change[other] -= 1
        for pool in grows:
            for _ in range(change[pool]):
                self._start(pool)

    def _by_load(self) -> dict[Pool, int]:
        change: dict[Pool, int] = {}
        least = self._wanted()
        for pool in POOLS:
            pressures = [self._pressure(pool, load) for load in self._loads(pool)]
            starting = self.size(pool) > len(pressures)
            if pressures and min(pressures) > 1.0 and not starting:
                change[pool] = 1
            else:
                spare = self.size(pool) > least[pool] and not starting
                change[pool] = -1 if spare and max(pressures, default=0.0) < self.spec.down_below else 0
        return change

    def _loads(self, pool: Pool) -> list[Load]:
        router = self._cluster.router
        return [router.loads[name] for name in router.roster.choosable(self._policy(pool))]

    def _pressure(self, pool: Pool, load: Load) -> float:
        """What the worker would make a request feel now, as a share of the target."""
        cost = self._worker.cost
        if pool == "prefill_only":
            return cost.step_s([(0, load.prefill_tokens)], 0, 0) / self.spec.ttft_s if load.prefill_tokens else 0.0
        itl_s = cost.step_s((), load.orders, load.kv_tokens) if load.orders else 0.0
        full = (load.kv_tokens + load.output_tokens) / (self._worker.kv_blocks * 16)
        return max(itl_s / self.spec.itl_s, full)

    def _by_throughput(self) -> dict[Pool, int]:
        return {pool: want - self.size(pool) for pool, want in self._wanted().items()}

    def _wanted(self) -> dict[Pool, int]:
        """How many workers the demand takes that was seen lately."""
        seen_s = min(self.spec.demand_s, self._cluster.clock.s)
        seen = self._cluster.arrived(self._cluster.clock.s - seen_s)
        if not seen:
            return dict.fromkeys(POOLS, self.spec.fewest)
        rate = len(seen) / seen_s
        prompt = sum(tokens for tokens, _ in seen) / len(seen)
        output = sum(tokens for _, tokens in seen) / len(seen)
        sustains = (self._prefill_per_s(prompt), self._decode_per_s(prompt, output))
        wanted = [
            max(self.spec.fewest, math.ceil(rate / each) if each else self.spec.most_workers) for each in sustains
        ]
        while sum(wanted) > self.spec.most_workers:
            wanted[wanted.index(max(wanted))] -= 1
        return dict(zip(POOLS, wanted, strict=True))

    def _prefill_per_s(self, prompt: float) -> float:
        """M/D/1: the rate at which service and mean wait together are the TTFT target; 0 if service alone is more."""
        service_s = self._worker.cost.step_s([(0, round(prompt))], 0, 0)
        wait_s = self.spec.ttft_s - service_s
        return max(0.0, 2 * wait_s / (service_s**2 + 2 * wait_s * service_s))

    def _decode_per_s(self, prompt: float, output: float) -> float:
        """With the largest batch whose step is within the ITL target and whose KV fits."""
        context = prompt + output / 2
        most = min(self._worker.max_running, int(self._worker.kv_blocks * 16 / (prompt + output)))
        batch = 0
        while batch < most and self._worker.cost.step_s((), batch + 1, round((batch + 1) * context)) <= self.spec.itl_s:
            batch += 1
        return batch / self._worker.cost.step_s((), batch, round(batch * context)) / output if batch else 0.0

    # ---- who

    def _policy(self, pool: Pool) -> str:
        return "prefill_only" if pool == "prefill_only" else self._cluster.router.deployment.decode_policy

    def _start(self, pool: Pool) -> None:
        if len(self._pool) + len(self._leaving) >= self.spec.most_workers:
            return
        name = f"worker-{self._made}"
        self._made += 1
        self._pool[name] = pool
        self._cluster.clock.alarm(
            ps(self.spec.startup_s), lambda _: self._cluster.join(name, self._worker, self._policy(pool))
        )

    def _retire(self, pool: Pool, then: Pool | None) -> None:
        """The worker of the pool with the least to do."""
        router = self._cluster.router
        there = [name for name in router.roster.choosable(self._policy(pool)) if self._pool.get(name) == pool]
        if len(there) <= self.spec.fewest:
            return
        name = min(there, key=lambda name: router.loads[name].tokens)
        del self._pool[name]
        if then is not None:
            self._pool[name] = then
        self._leaving[name] = then
        router.roster.retire(name)

    def _see_them_off(self) -> None:
        for name, then in list(self._leaving.items()):
            if not self._cluster.router.drained(name):
                continue
            del self._leaving[name]
            if then is None:
                self._cluster.leave(name)
            else:
                self._switch(name, self._policy(then))

    def _switch(self, name: str, policy: str) -> None:
        self._cluster.clock.alarm(ps(self.spec.switch_s), lambda _: self._cluster.assign(name, policy))
