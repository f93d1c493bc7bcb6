"""`bench start`: how long an engine with two workers takes to start, and whether they share one copy of the weights."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from engine.bench.figure import Figure, Findings, beside, found
from engine.link import LinkSpec
from engine.live.model.catalog import Prepared, prepare
from engine.live.process.front import Front
from engine.live.process.run import machine
from engine.scenario import Deployment, ModelSpec

READY_S = 5.0
# What any program that serves a model with transformers has to wait for: imports, and mapping the weights from disk.
BARE = """
import sys, torch
from transformers import AutoModelForCausalLM
folder, dtype, variant = sys.argv[1:]
AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), variant=variant or None).eval()
"""


def measure(model: ModelSpec, repeat: int) -> Findings:
    """Run the bench."""
    prepared = prepare(model)  # converts a model on its first use, which is not part of a start
    _engine_s(model)  # fills the system's caches
    ours, theirs = [], []
    for _ in range(repeat):
        seconds, weights = _engine_s(model)
        ours.append(seconds)
        theirs.append(_bare_s(prepared))
    ready = beside("engine ready, two workers", ours, theirs, "s", "transformers: import and load, one process")
    stored = _stored_bytes(prepared)
    return found(
        "start",
        machine(),
        [
            ready,
            Figure("the same, in seconds", ready.value, "s", most=READY_S),
            Figure("weights' files in both workers' memory, PSS", weights.file_pss, "B", "one copy", stored, most=1.1),
            Figure("the same files in each one's RSS, added up", weights.file_rss, "B", "one copy", stored),
            Figure("memory of its own, per worker", weights.private / 2, "B"),
        ],
        ["PSS counts a page that two processes map as half for each: one shared copy is 1.0, two copies are 2.0."],
    )


def _engine_s(model: ModelSpec) -> "tuple[float, Memory]":
    """Seconds until all workers are ready, and their memory at that time."""
    begun_s = time.perf_counter()
    with Front(Deployment("disaggregated"), LinkSpec(), model) as front:
        front.start()
        ready_s = time.perf_counter() - begun_s
        return ready_s, Memory.of(seat.process.pid for seat in front.seats if seat.process is not None)


def _bare_s(prepared: Prepared) -> float:
    begun_s = time.perf_counter()
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    line = [sys.executable, "-P", "-c", BARE, prepared.folder, prepared.dtype, prepared.variant]
    subprocess.run(line, check=True, capture_output=True, env=environment)
    return time.perf_counter() - begun_s


def _stored_bytes(prepared: Prepared) -> int:
    """The size of these weights on disk."""
    variant = f".{prepared.variant}" if prepared.variant else ""
    one = Path(prepared.folder, f"model{variant}.safetensors")
    files = [one] if one.exists() else Path(prepared.folder).glob("*.safetensors")  # large models come in several
    return sum(file.stat().st_size for file in files)


class Memory:
    """Bytes in processes' memory: of weights' files, by RSS and by PSS, and private ones."""

    def __init__(self) -> None:
        self.file_rss = self.file_pss = self.private = 0

    @classmethod
    def of(cls, pids: Iterable[int]) -> "Memory":
        """The sum over these processes."""
        memory = cls()
        for pid in pids:
            memory.add(Path(f"/proc/{pid}/smaps").read_text())
        return memory

    def add(self, smaps: str) -> None:
        """Add one process's `/proc/PID/smaps`, in the format of proc(5)."""
        weights = False
        for line in smaps.splitlines():
            words = line.split()
            if not words[0].endswith(":"):  # a mapping begins: addresses, rights, ..., its file
                weights = words[-1].endswith(".safetensors")
            elif weights and words[0] == "Rss:":
                self.file_rss += int(words[1]) * 1024
            elif weights and words[0] == "Pss:":
                self.file_pss += int(words[1]) * 1024
            elif words[0] in ("Private_Clean:", "Private_Dirty:"):
                self.private += int(words[1]) * 1024
