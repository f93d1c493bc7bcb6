"""Small things for the simulator's tests: a worker, and runs in one line."""

from typing import Any, cast

from engine.link import LinkSpec
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.sim.cost import LinearCost
from engine.sim.station import WorkerSpec

COST = LinearCost(step=0.01, prefill_step=0.003, prefill_token=1e-4, attention_pair=1e-9, row=1e-4, context_token=1e-6)
WORKER = WorkerSpec(COST, kv_blocks=4000, kv_bytes_per_token=1000, context_tokens=60_000, layers=10)


def scenario(kind: str = "disaggregated", link: LinkSpec = LinkSpec(), **settings: Any) -> Scenario:  # noqa: B008
    deployment = {k: settings.pop(k) for k in list(settings) if k in Deployment.__struct_fields__}
    return Scenario(Deployment(cast(Kind, kind), **deployment), link, Workload(**settings))
