"""Run a scenario in simulated time: the same events and log as the live engine's, from a cost model."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from engine.errors import BadInput
from engine.log import Log, in_order
from engine.request import Request
from engine.scenario import BLOCK_TOKENS, Scenario
from engine.sim.cluster import Cluster
from engine.sim.cost import LinearCost
from engine.sim.leap import Happening, unfold
from engine.sim.network import NetworkSpec
from engine.sim.station import WorkerSpec
from engine.sim.tally import Counter, Tally
from engine.workload import Draft, drafts

MAX_SIMULATED_WORKERS = 1024

Write = Callable[[Happening], object]


def simulate(scenario: Scenario, worker: WorkerSpec, requests: Sequence[Request] | None = None) -> Log:
    """The scenario's log, had every worker been a `worker`. Raises BadInput before anything starts.

    `requests` in place of the workload's, in order of arrival. Tokens have no values: only their times are simulated.
    """
    record: list[Happening] = []
    run(scenario, worker, record.append, requests)
    return Log(scenario, in_order(list(unfold(record))), machine="simulated")


def count(scenario: Scenario, worker: WorkerSpec, requests: Sequence[Request] | None = None) -> Tally:
    """The same, for its numbers alone: nothing is kept of the run, so it may be large."""
    counter = Counter()
    run(scenario, worker, counter.add, requests)
    return counter.tally()


def run(scenario: Scenario, worker: WorkerSpec, write: Write, requests: Sequence[Request] | None = None) -> None:
    """The same, told as it happens, with decode steps taken in leaps."""
    deployment = scenario.deployment
    wanted = requests_of(drafts(scenario.workload)) if requests is None else requests
    for request in wanted:
        must_fit(request, worker)
    network = NetworkSpec(host_bytes_per_s=worker.handoff_bytes_per_s)
    workers = {f"worker-{n}": worker for n in range(deployment.workers)}
    seed = scenario.workload.seed
    Cluster(deployment, scenario.link, workers, network=network, seed=seed, write=write).run(wanted)


def requests_of(wanted: Sequence[Draft]) -> list[Request]:
    return [
        Request(f"r{draft.number + 1}", blank(draft.prompt_tokens), draft.output_tokens, draft.arrival_s)
        for draft in wanted
    ]


class Shape(Protocol):
    """Of a model's KV: what `engine.live` knows of a model without loading it."""

    @property
    def bytes_per_token(self) -> int: ...
    @property
    def layers(self) -> int: ...


class Prepared(Protocol):
    @property
    def kv_shape(self) -> Shape: ...
    @property
    def kv_blocks(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...


def worker_like(prepared: Prepared) -> WorkerSpec:
    """A live worker's memory; its cost is to be calibrated."""
    shape = prepared.kv_shape
    return WorkerSpec(LinearCost(), prepared.kv_blocks, shape.bytes_per_token, prepared.context_tokens, shape.layers)


@lru_cache(maxsize=4096)
def blank(tokens: int) -> tuple[int, ...]:
    """A prompt of which only the length matters; requests of one length share it."""
    return (0,) * tokens


def must_fit(request: Request, worker: WorkerSpec) -> None:
    most = min(worker.kv_blocks * BLOCK_TOKENS, worker.context_tokens)
    if len(request.prompt_ids) + request.max_output_tokens > most:
        asked = f"{len(request.prompt_ids)} + {request.max_output_tokens} output tokens"
        raise BadInput("prompt tokens", asked, f"at most {most:,} together, the KV pool and the context")
