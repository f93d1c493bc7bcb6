"""`split-kitchen bench`: how fast this code is, measured here and now."""

import json
import resource
import sys
import time

import click

from engine.scenario import Deployment, Scenario, Workload
from engine.sim.cost import Hardware, ModelSize, roofline
from engine.sim.run import count
from engine.sim.station import WorkerSpec

# An 8B model with grouped-query attention in bf16 on a device of 989 TFLOP/s and 3.35 TB/s: steps of a common size.
DEVICE = Hardware(flops_per_s=989e12, memory_bytes_per_s=3.35e12)
MODEL = ModelSize(8.03e9, 16.06e9, kv_bytes_per_token=131_072, layers=32, attention_width=4096)
WORKER = WorkerSpec(roofline(DEVICE, MODEL), kv_blocks=24_000, kv_bytes_per_token=131_072, layers=32)


@click.group()
def bench() -> None:
    """Measure how fast the code itself is, on this machine."""


@bench.command()
@click.option("--requests", type=int, default=5000, show_default=True)
@click.option("--repeat", type=int, default=5, show_default=True, help="Runs; the median counts.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def simulator(requests: int, repeat: int, as_json: bool) -> None:
    """Requests a second that the simulator gets through, on one core: 1024 tokens in, 128 out, 8/s, two co-located
    workers; every token's time counted in the metrics."""
    load = Workload(requests=requests, rate_per_s=8.0, prompt_tokens=1024, output_tokens=128).checked()
    scenario = Scenario(Deployment("colocated", workers=2), workload=load).checked()
    seconds = sorted(_run_s(scenario) for _ in range(repeat))
    median_s = seconds[len(seconds) // 2]
    found = {
        "requests": requests,
        "seconds": median_s,
        "fastest_s": seconds[0],
        "requests_per_s": requests / median_s,
        "output_tokens_per_s": requests * load.output_tokens / median_s,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name:20} {value:,.3f}" if isinstance(value, float) else f"{name:20} {value:,}")


def _run_s(scenario: Scenario) -> float:
    begun_s = time.perf_counter()
    counted = count(scenario, WORKER)
    assert len(counted.requests) == scenario.workload.requests
    return time.perf_counter() - begun_s
