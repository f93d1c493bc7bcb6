"""Run a scenario in simulated time: the same events and log as the live engine's, from a cost model."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal, Protocol

import msgspec

from engine.errors import BadInput
from engine.log import Log, in_order
from engine.request import Request
from engine.routing import Cached, KvAware, LeastLoaded, RoundRobin, Route, nothing_cached
from engine.scenario import BLOCK_TOKENS, Deployment, Scenario
from engine.sim.cluster import Cluster
from engine.sim.cost import LinearCost
from engine.sim.leap import Happening, unfold
from engine.sim.network import NetworkSpec
from engine.sim.planner import Planner, PlannerSpec
from engine.sim.prefixes import PrefixCaches
from engine.sim.station import WorkerSpec
from engine.sim.tally import Counter, Tally
from engine.sim.traces import MOONCAKE_BLOCK_TOKENS
from engine.workload import Draft, drafts

MAX_SIMULATED_WORKERS = 1024
ROUTINGS = ("least-loaded", "round-robin", "kv-aware")

Write = Callable[[Happening], object]


class ClusterSpec(msgspec.Struct, frozen=True):
    """What the scenario runs on. `decode_worker`: what a decode worker is, where it is another than a `worker`.

    `network` None: as the live engine's, one tray at a time per sender. `prefix_cache_tokens`: how many tokens of
    earlier prompts each worker keeps, where prompts are known by their blocks (a trace's) of `prefix_block_tokens`.
    `planner`: of pools that change (None: they stay as the deployment says).
    """

    worker: WorkerSpec
    decode_worker: WorkerSpec | None = None
    network: NetworkSpec | None = None
    routing: Literal["least-loaded", "round-robin", "kv-aware"] = "least-loaded"
    prefix_cache_tokens: int = 0
    prefix_block_tokens: int = MOONCAKE_BLOCK_TOKENS
    planner: PlannerSpec | None = None

    def workers(self, deployment: Deployment) -> dict[str, WorkerSpec]:
        """By name, in the order in which the deployment deals out its roles."""
        first_decode = deployment.prefill_workers if deployment.kind == "disaggregated" else deployment.workers
        decode = self.decode_worker or self.worker
        return {f"worker-{n}": self.worker if n < first_decode else decode for n in range(deployment.workers)}


On = WorkerSpec | ClusterSpec


def simulate(scenario: Scenario, on: On, wanted: Sequence[Draft] | None = None) -> Log:
    """The scenario's log, had it run on this (a `WorkerSpec`: all workers alike). Raises BadInput before it starts.

    `wanted`: requests in place of the workload's, in order of arrival. Tokens have no values: only times are simulated.
    """
    record: list[Happening] = []
    run(scenario, on, record.append, wanted, watched=True)
    return Log(scenario, in_order(list(unfold(record))), machine="simulated")


def count(scenario: Scenario, on: On, wanted: Sequence[Draft] | None = None) -> Tally:
    """The same, for its numbers alone: nothing is kept of the run, so it may be large."""
    counter = Counter()
    run(scenario, on, counter.add, wanted)
    return counter.tally()


def run(
    scenario: Scenario, on: On, write: Write, wanted: Sequence[Draft] | None = None, *, watched: bool = False
) -> Cluster:
    """The same, told as it happens, with decode steps taken in leaps."""
    scenario.checked(MAX_SIMULATED_WORKERS)
    spec = on if isinstance(on, ClusterSpec) else ClusterSpec(on)
    coming = drafts(scenario.workload) if wanted is None else wanted
    workers = spec.workers(scenario.deployment)
    for worker in {id(worker): worker for worker in workers.values()}.values():
        _must_fit(coming, worker)
    requests = [_request(draft) for draft in coming]
    caches = None
    if spec.prefix_cache_tokens:
        blocks = {request.id: draft.prefix_blocks for request, draft in zip(requests, coming, strict=True)}
        caches = PrefixCaches(blocks, spec.prefix_block_tokens, spec.prefix_cache_tokens)
    cluster = Cluster(
        scenario.deployment,
        scenario.link,
        workers,
        network=spec.network or NetworkSpec(host_bytes_per_s=spec.worker.handoff_bytes_per_s),
        route=route(spec.routing, caches.peek if caches else nothing_cached),
        seed=scenario.workload.seed,
        write=write,
        prefixes=caches,
        watched=watched,
    )
    if spec.planner is not None:
        if scenario.deployment.kind != "disaggregated":
            raise BadInput("planner", scenario.deployment.kind, "used with disaggregated pools")
        Planner(cluster, spec.planner, spec.worker)
    with _no_collections():
        cluster.run(requests, scenario.workload.users)
    return cluster


@contextmanager
def _no_collections() -> Iterator[None]:
    """Next to nothing in a simulation refers to itself in a circle, and looking for what does took 5 to 10 % of its
    time. A rack's 100,000 requests need 0.7 GB without."""
    if not gc.isenabled():  # somebody has seen to it already
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def route(name: str, cached: Cached) -> Route:
    """A route by name, one of `ROUTINGS`. Raises BadInput."""
    routes: dict[str, Callable[[Cached], Route]] = dict(zip(ROUTINGS, (LeastLoaded, RoundRobin, KvAware), strict=True))
    if name not in routes:
        raise BadInput("routing", name, "one of " + ", ".join(ROUTINGS))
    return routes[name](cached)


def _request(draft: Draft) -> Request:
    return Request(f"r{draft.number + 1}", blank(draft.prompt_tokens), draft.output_tokens, draft.arrival_s)


@lru_cache(maxsize=4096)
def blank(tokens: int) -> tuple[int, ...]:
    """A prompt of which only the length matters; requests of one length share it."""
    return (0,) * tokens


def _must_fit(coming: Sequence[Draft], worker: WorkerSpec) -> None:
    most = min(worker.kv_blocks * BLOCK_TOKENS, worker.context_tokens)
    for draft in coming:
        if draft.prompt_tokens + draft.output_tokens > most:
            asked = f"{draft.prompt_tokens} + {draft.output_tokens} output tokens"
            raise BadInput("prompt tokens", asked, f"at most {most:,} together, what KV pool and context hold")


class KvSizes(Protocol):
    @property
    def bytes_per_token(self) -> int: ...
    @property
    def layers(self) -> int: ...


class SizedModel(Protocol):
    """What `engine.live` knows of a model without loading it."""

    @property
    def kv_shape(self) -> KvSizes: ...
    @property
    def kv_blocks(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...


def worker_like(prepared: SizedModel) -> WorkerSpec:
    """A live worker's memory; its cost is to be calibrated."""
    shape = prepared.kv_shape
    return WorkerSpec(LinearCost(), prepared.kv_blocks, shape.bytes_per_token, prepared.context_tokens, shape.layers)
