"""`split-kitchen bench simulator`: how fast the simulator is on this machine."""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from engine.commands.lazy_group import LazyGroup
from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.step_cost import step_cost
from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario, Workload, one_of, whole
from engine.sim.network import NetworkSpec
from engine.sim.run import MAX_SIMULATED_WORKERS, ClusterSpec, On, count
from engine.sim.station import WorkerSpec
from engine.sim.traces import MOONCAKE_BLOCK_TOKENS
from engine.workload import drafts

BLOCKS = 1000  # more than a prompt here has: no two begin alike
MODEL = model("llama-3.1-8b")  # steps of a common size
WORKER = WorkerSpec(
    step_cost(MODEL, gpu("h100-sxm")),
    kv_blocks=24_000,
    kv_bytes_per_token=MODEL.kv_bytes_per_token,
    layers=MODEL.layers,
)


class Scene(msgspec.Struct, frozen=True):
    """A scenario, what it is simulated on, and how often: single runs of half a second differ by a third."""

    scenario: Scenario
    on: On
    repeat: int


SCENES = {
    "node": Scene(
        Scenario(
            Deployment("colocated", workers=2),
            workload=Workload(requests=5000, rate_per_s=8.0, prompt_tokens=1024, output_tokens=128),
        ),
        WORKER,
        21,
    ),
    "nvl72": Scene(
        Scenario(
            Deployment("disaggregated", workers=72, prefill_workers=16),
            LinkSpec(675e9, 1e-5),  # 900 GB/s one way per GPU, three quarters of it reached
            Workload(requests=100_000, rate_per_s=800.0, prompt_tokens=1024, output_tokens=128),
        ),
        ClusterSpec(replace(WORKER, cost=step_cost(MODEL, gpu("gb200"))), network=NetworkSpec(sharing="fair")),
        5,
    ),
}


@click.group(cls=LazyGroup)
def bench() -> None:
    """Measure how fast the code itself is, on this machine."""


@bench.command()
@click.option("--scene", default="node", show_default=True, help=f"One of {', '.join(SCENES)}.")
@click.option("--requests", type=int, help="[default: 5,000 on the node, 100,000 on the rack]")
@click.option("--repeat", type=int, help="Runs; the median counts.  [default: 21 on the node, 5 on the rack]")
@click.option("--replay-python", envvar="SPLIT_KITCHEN_REPLAY_PYTHON", help="An interpreter that has ai-dynamo.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def simulator(scene: str, requests: int | None, repeat: int | None, replay_python: str | None, as_json: bool) -> None:
    """How many requests per second the simulator simulates on one core, with every token's time in the metrics.

    node: 1024 tokens in, 128 out, 8/s, two co-located workers. nvl72: the same requests at 800/s on a rack of 72
    workers, 16 of them for prefill, all on one fabric with fair shares.
    """
    one_of("scene", scene, tuple(SCENES))
    chosen = SCENES[scene]
    repeat = chosen.repeat if repeat is None else repeat
    whole("repeat", repeat, 1, 100)
    load = chosen.scenario.workload if requests is None else replace(chosen.scenario.workload, requests=requests)
    scenario = replace(chosen.scenario, workload=load).checked(MAX_SIMULATED_WORKERS)
    seconds, theirs = [], []
    with replay(replay_python, scenario) as beside:
        for _ in range(repeat):
            seconds.append(run_s(scenario, chosen.on))
            theirs += [beside.ask()] if beside.ask else []
    median_s = median(seconds)
    found: dict[str, Any] = {
        "scene": scene,
        "requests": load.requests,
        "seconds": median_s,
        "fastest_s": min(seconds),
        "requests_per_s": load.requests / median_s,
        "output_tokens_per_s": load.requests * load.output_tokens / median_s,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
    }
    found["replay"] = beside.says
    if theirs:
        found |= {"replay_requests_per_s": load.requests / median(theirs), "times_replay": median(theirs) / median_s}
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name:22} {value:,.3f}" if isinstance(value, float) else f"{name:22} {value}")


class Beside(msgspec.Struct):
    """NVIDIA Dynamo's `dynamo.replay` on the same requests: `ask` returns its seconds; None where it is not there."""

    says: str
    ask: Callable[[], float] | None = None


@contextmanager
def replay(python: str | None, scenario: Scenario) -> Iterator[Beside]:
    """A process of its own, its runs between ours. Raises BadInput if `python` cannot be run."""
    if scenario.deployment.kind == "disaggregated":
        yield Beside("skipped: its pools are joined by no link")
        return
    if not python:
        yield Beside("skipped: --replay-python names no interpreter with ai-dynamo and ai-dynamo-runtime")
        return
    from engine.bench.compute import interpreter, peer

    python = interpreter("replay python", python, "ai-dynamo")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as trace:
        for draft in drafts(scenario.workload):
            first = draft.number * BLOCKS
            row = {
                "timestamp": round(1e3 * draft.arrival_s),
                "input_length": draft.prompt_tokens,
                "output_length": draft.output_tokens,
                "hash_ids": list(range(first, first + -(-draft.prompt_tokens // MOONCAKE_BLOCK_TOKENS))),
            }
            trace.write(json.dumps(row) + "\n")
        trace.flush()
        with peer("dynamo.replay", python, "-m", "engine.bench.peers.replay") as process:
            workers = scenario.deployment.workers
            yield Beside(f"ai-dynamo {process.version}", lambda: process.ask("run", trace.name, workers))


def run_s(scenario: Scenario, on: On) -> float:
    """How many seconds one simulation takes."""
    begun_s = time.perf_counter()
    counted = count(scenario, on)
    assert len(counted.requests) == scenario.workload.requests
    return time.perf_counter() - begun_s
