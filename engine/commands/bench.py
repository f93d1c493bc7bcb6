"""`split-kitchen bench simulator`: how fast the simulator is on this machine."""

import json
import resource
import sys
import time

import click
import msgspec
from msgspec.structs import replace

from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.step_cost import step_cost
from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario, Workload, one_of, whole
from engine.sim.network import NetworkSpec
from engine.sim.run import MAX_SIMULATED_WORKERS, ClusterSpec, On, count
from engine.sim.station import WorkerSpec

MODEL = model("llama-3.1-8b")  # steps of a common size
WORKER = WorkerSpec(
    step_cost(MODEL, gpu("h100-sxm")),
    kv_blocks=24_000,
    kv_bytes_per_token=MODEL.kv_bytes_per_token,
    layers=MODEL.layers,
)


class Scene(msgspec.Struct, frozen=True):
    """A scenario, and what it is simulated on."""

    scenario: Scenario
    on: On


SCENES = {
    "node": Scene(
        Scenario(
            Deployment("colocated", workers=2),
            workload=Workload(requests=5000, rate_per_s=8.0, prompt_tokens=1024, output_tokens=128),
        ),
        WORKER,
    ),
    "nvl72": Scene(
        Scenario(
            Deployment("disaggregated", workers=72, prefill_workers=16),
            LinkSpec(675e9, 1e-5),  # 900 GB/s one way per GPU, three quarters of it reached
            Workload(requests=100_000, rate_per_s=800.0, prompt_tokens=1024, output_tokens=128),
        ),
        ClusterSpec(replace(WORKER, cost=step_cost(MODEL, gpu("gb200"))), network=NetworkSpec(sharing="fair")),
    ),
}


@click.group()
def bench() -> None:
    """Measure how fast the code itself is, on this machine."""


@bench.command()
@click.option("--scene", default="node", show_default=True, help=f"One of {', '.join(SCENES)}.")
@click.option("--requests", type=int, help="[default: 5,000 on the node, 100,000 on the rack]")
@click.option("--repeat", type=int, default=5, show_default=True, help="Runs; the median counts.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def simulator(scene: str, requests: int | None, repeat: int, as_json: bool) -> None:
    """How many requests per second the simulator simulates on one core, with every token's time in the metrics.

    node: 1024 tokens in, 128 out, 8/s, two co-located workers. nvl72: the same requests at 800/s on a rack of 72
    workers, 16 of them for prefill, all on one fabric with fair shares.
    """
    one_of("scene", scene, tuple(SCENES))
    whole("repeat", repeat, 1, 100)
    chosen = SCENES[scene]
    load = chosen.scenario.workload if requests is None else replace(chosen.scenario.workload, requests=requests)
    scenario = replace(chosen.scenario, workload=load).checked(MAX_SIMULATED_WORKERS)
    seconds = sorted(run_s(scenario, chosen.on) for _ in range(repeat))
    median_s = seconds[len(seconds) // 2]
    found = {
        "scene": scene,
        "requests": load.requests,
        "seconds": median_s,
        "fastest_s": seconds[0],
        "requests_per_s": load.requests / median_s,
        "output_tokens_per_s": load.requests * load.output_tokens / median_s,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name:20} {value:,.3f}" if isinstance(value, float) else f"{name:20} {value}")


def run_s(scenario: Scenario, on: On) -> float:
    """How many seconds one simulation takes."""
    begun_s = time.perf_counter()
    counted = count(scenario, on)
    assert len(counted.requests) == scenario.workload.requests
    return time.perf_counter() - begun_s
