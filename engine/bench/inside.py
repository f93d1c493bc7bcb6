"""`bench inside`: what the plugin inside vLLM costs. Three vLLMs on one core step in turn: one with it, two without.

They are timed in their CPU time, in which the plugin's own thread counts, and what other programs take from the core
does not. The two without it are alike: how far they differ is how far this machine can tell.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from engine.bench.compute import CONTEXT, Peer, interpreter, vllm_cpu
from engine.bench.figure import Findings, beside, found
from engine.errors import WorkerFailed
from engine.live.model.catalog import prepare
from engine.live.process.run import machine
from engine.scenario import ModelSpec
from engine.vllm.servers import PLUGIN

BATCH = 8
STEPS = 8  # a turn; the plugin's thread is then at most one step behind
MOST = 1.02  # a step with the plugin takes at most so many times as long


def measure(model: ModelSpec, turns: int, python: str) -> Findings:
    """Decode steps of `BATCH` requests, `STEPS` a turn; medians count. Raises BadInput, and WorkerFailed."""
    python = interpreter("vllm python", python, "vllm-cpu")
    prepared = prepare(model)
    with tempfile.TemporaryDirectory(prefix="split-kitchen-watch-") as folder:
        watched = {"PYTHONPATH": str(PLUGIN), "SPLIT_KITCHEN_WATCH": folder}
        unwatched = {"PYTHONPATH": str(PLUGIN)}
        with (
            vllm_cpu(prepared, python, **watched) as on,
            vllm_cpu(prepared, python, **unwatched) as off,
            vllm_cpu(prepared, python, **unwatched) as again,
        ):
            racing = (on, off, again)
            for each in racing:
                each.ask("gather", BATCH, CONTEXT)
                each.ask("cpu", STEPS)
            rounds = [_in_turn(number, racing) for number in range(turns)]
            version = on.version
        lines = sum(file.read_bytes().count(b'"k":"done"') for file in Path(folder).glob("*.jsonl"))
    steps = STEPS * turns
    if lines < steps:
        raise WorkerFailed(f"the plugin told of {lines} steps, but there were {steps}: nothing was measured.")
    on_s, off_s, again_s = zip(*rounds, strict=True)
    name = f"decode step, batch {BATCH}, CPU time"
    figures = [
        beside(name, on_s, off_s, "s", "plugin off", most=MOST),
        beside(f"{name}, without it", again_s, off_s, "s", "the same"),
    ]
    notes = [f"{steps} steps of each on one core, {STEPS} a turn, {prepared.dtype}; the plugin told of {lines} steps."]
    return found("inside", machine(), figures, notes, {"vllm-cpu": version})


def _in_turn(number: int, racing: Sequence[Peer]) -> list[float]:
    """Seconds of a step of each; which of them is first goes round."""
    seconds = [0.0] * len(racing)
    for place in range(len(racing)):
        one = (number + place) % len(racing)
        seconds[one] = racing[one].ask("cpu", STEPS)
    return seconds
