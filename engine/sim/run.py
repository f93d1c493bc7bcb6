"""Run a scenario in simulated time: the same events and log as the live engine's, from a cost model."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal, Protocol

import msgspec

from engine.errors import BadInput
from engine.log import Log, in_order
from engine.own_file import OwnFile, needed
from engine.request import Request
from engine.routing import Cached, KvAware, LeastLoaded, RoundRobin, Route, nothing_cached
from engine.scenario import BLOCK_TOKENS, OWN, Deployment, Scenario
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
    """What a scenario runs on. `decode_worker`: the spec of decode workers, if it differs from `worker`.

    `network` None: as in the live engine, one handoff at a time per sender. `prefix_cache_tokens`: how many tokens of
    earlier prompts each worker keeps; prompts are then identified by a trace's blocks of `prefix_block_tokens`.
    `planner`: changes the pools (None: they stay as the deployment has them).
    """

    worker: WorkerSpec
    decode_worker: WorkerSpec | None = None
    network: NetworkSpec | None = None
    routing: Literal["least-loaded", "round-robin", "kv-aware"] = "least-loaded"
    prefix_cache_tokens: int = 0
    prefix_block_tokens: int = MOONCAKE_BLOCK_TOKENS
    planner: PlannerSpec | None = None

    def workers(self, deployment: Deployment) -> dict[str, WorkerSpec]:
        """Each worker's spec by name, in the order in which the deployment assigns roles."""
        first_decode = deployment.prefill_workers if deployment.kind == "disaggregated" else deployment.workers
        decode = self.decode_worker or self.worker
        return {f"worker-{n}": self.worker if n < first_decode else decode for n in range(deployment.workers)}


On = WorkerSpec | ClusterSpec


def simulate(scenario: Scenario, on: On, wanted: Sequence[Draft] | None = None, own: OwnFile | None = None) -> Log:
    """The log of the scenario run on `on` (a `WorkerSpec`: for all workers). Raises BadInput before it starts.

    `wanted`: requests in place of the workload's, in order of arrival. Tokens have no values: only times are simulated.
    `own`: the file of a deployment with a policy or a split of one's own. Raises PolicyRefused if it breaks a rule.
    """
    record: list[Happening] = []
    run(scenario, on, record.append, wanted, watched=True, own=own)
    return Log(scenario, in_order(list(unfold(record))), machine="simulated")


def count(
    scenario: Scenario,
    on: On,
    wanted: Sequence[Draft] | None = None,
    own: OwnFile | None = None,
    counter: Counter | None = None,
) -> Tally:
    """As `simulate`, but only the metrics: events are not kept, so the run may be large.

    `counter`: one that does more than counting; what it raises ends the run.
    """
    with _no_collections():
        counter = counter or Counter()
        run(scenario, on, counter.add, wanted, own=own)
        return counter.tally()


def run(
    scenario: Scenario,
    on: On,
    write: Write,
    wanted: Sequence[Draft] | None = None,
    *,
    watched: bool = False,
    own: OwnFile | None = None,
) -> Cluster:
    """As `simulate`, but events go to `write` as they happen, with decode steps in leaps. Raises BadInput.

    `watched`: also report the progress of handoffs.
    """
    scenario.checked(MAX_SIMULATED_WORKERS)
    spec = on if isinstance(on, ClusterSpec) else ClusterSpec(on)
    file = needed(scenario.deployment, own)
    if file is not None and (spec.planner is not None or spec.routing != "least-loaded"):
        raise BadInput("policy", file.name, "used with the least-loaded routing and without a planner")
    coming = drafts(scenario.workload) if wanted is None else wanted
    workers = spec.workers(scenario.deployment)
    for worker in {id(worker): worker for worker in workers.values()}.values():
        _must_fit(coming, worker)
    requests = [_request(draft) for draft in coming]
    caches = None
    if spec.prefix_cache_tokens:
        blocks = {request.id: draft.prefix_blocks for request, draft in zip(requests, coming, strict=True)}
        caches = PrefixCaches(blocks, spec.prefix_block_tokens, spec.prefix_cache_tokens)
    cached = caches.peek if caches else nothing_cached
    roles = dict(zip(workers, scenario.deployment.policies, strict=True))
    policies = {name: file.policy(name) for name, role in roles.items() if file and role == OWN}
    cluster = Cluster(
        scenario.deployment,
        scenario.link,
        workers,
        network=spec.network or NetworkSpec(host_bytes_per_s=spec.worker.handoff_bytes_per_s),
        route=file.route(cached) if file and scenario.deployment.own_split else route(spec.routing, cached),
        leaping=not policies,  # what it chooses next is known only to it
        seed=scenario.workload.seed,
        write=write,
        prefixes=caches,
        watched=watched,
        own=policies,
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
    """A simulation makes almost no reference cycles, and looking for them took 5 to 10 % of its time. Without it a
    rack's 100,000 requests need 0.7 GB."""
    if not gc.isenabled():  # a caller has already turned it off
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
    """A prompt whose length alone matters; requests of one length share it."""
    return (0,) * tokens


def _must_fit(coming: Sequence[Draft], worker: WorkerSpec) -> None:
    most = min(worker.kv_blocks * BLOCK_TOKENS, worker.context_tokens)
    for draft in coming:
        if draft.prompt_tokens + draft.output_tokens > most:
            asked = f"{draft.prompt_tokens} + {draft.output_tokens} output tokens"
            raise BadInput("prompt tokens", asked, f"at most {most:,} together, to fit into KV pool and context")


class KvSizes(Protocol):
    """The size of a model's KV."""

    @property
    def bytes_per_token(self) -> int: ...
    @property
    def layers(self) -> int: ...


class SizedModel(Protocol):
    """What `engine.live` knows about a model without loading it."""

    @property
    def kv_shape(self) -> KvSizes: ...
    @property
    def kv_blocks(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...


def worker_like(prepared: SizedModel) -> WorkerSpec:
    """A worker with a live worker's memory and no step cost yet: calibrate it before use."""
    shape = prepared.kv_shape
    return WorkerSpec(LinearCost(), prepared.kv_blocks, shape.bytes_per_token, prepared.context_tokens, shape.layers)
