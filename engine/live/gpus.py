"""This machine's GPUs as torch sees them, and which of them workers use. No torch here: the front needs this too."""

import functools
import importlib.resources
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.errors import BadInput, WorkerFailed

# Two libraries may number GPUs in different ways; and memory in growing segments cannot be shared with other processes.
ENVIRONMENT = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "PYTORCH_ALLOC_CONF": "expandable_segments:False"}
OLD_NAME = "PYTORCH_CUDA_ALLOC_CONF"  # of the second; it would win
SHARED = 0.9  # of a GPU's free memory, among the workers on it; the rest is for what nobody counts
BF16_SINCE = (8, 0)  # the CUDA capability from which on GPUs multiply bf16 themselves
CONTEXT_BYTES = 500_000_000  # in each process, by CUDA itself
COUNTERS = Path("/dev/shm")
NEVER_CHECKED = "workers on GPUs were never checked on this model; `make gpu-check` does it"


class Gpu(msgspec.Struct, frozen=True):
    """`peers`: indices of GPUs whose memory it reaches by itself. `capability`: CUDA's, as (9, 0). `free_bytes`: when
    this process first asked, so before it started a worker."""

    index: int
    name: str
    memory_bytes: int
    capability: tuple[int, int]
    peers: tuple[int, ...] = ()
    free_bytes: int = 0


class Found(msgspec.Struct, frozen=True):
    """`why`: why there are none, in torch's words."""

    gpus: tuple[Gpu, ...] = ()
    why: str = ""


class Checked(msgspec.Struct, frozen=True):
    """What gpu-check found on one model of GPU: what each check that passed says, and each that failed."""

    gpu: str
    driver: str
    torch: str
    date: str
    rows: dict[str, str]
    failed: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether something was checked, and nothing failed."""
        return bool(self.rows) and not self.failed


@functools.cache
def found() -> Found:
    """Looked up once, in a process of its own: this one keeps neither torch nor a context on a GPU."""
    command = [sys.executable, "-P", "-m", "engine.live.compute.list_gpus"]
    ran = subprocess.run(command, capture_output=True, check=False, env=environment())
    if ran.returncode:
        raise WorkerFailed(f"The GPUs could not be listed: {ran.stderr.decode()[-500:]}")
    return msgspec.json.decode(ran.stdout, type=Found)


def environment() -> dict[str, str]:
    """This process's, as it must be for processes that use GPUs."""
    return {name: value for name, value in os.environ.items() if name != OLD_NAME} | ENVIRONMENT


def every(there: Found | None = None) -> tuple[str, ...]:
    """The places of all GPUs here."""
    return tuple(f"cuda:{gpu.index}" for gpu in (there or found()).gpus)


def places(device: str, there: Found | None = None) -> tuple[str, ...]:
    """The places that `device` (`ModelSpec.device`) names; workers take them in turn. Raises BadInput."""
    if not device.startswith("cuda"):
        return (device,)
    there = there or found()
    if not there.gpus:
        raise BadInput("device", device, f"cpu where torch finds no GPU: {there.why}")
    asked = every(there) if device == "cuda" else tuple(device.split(","))
    if not set(asked) <= set(every(there)):
        raise BadInput("device", device, f"made of {', '.join(every(there))}, which are here")
    return asked


def places_for(device: str, listen: object) -> tuple[str, ...]:
    """`places`; `listen`: workers join from other hosts. Raises BadInput."""
    if device != "cpu" and listen:
        raise BadInput("device", device, "cpu where workers join from other hosts")
    return places(device)


def shares(taken: Sequence[str]) -> dict[str, int]:
    """How many bytes of each GPU a worker on it may take. `taken`: each worker's place; the CPU counts for none."""
    on_gpus = Counter(place for place in taken if place.startswith("cuda"))
    free = {f"cuda:{gpu.index}": gpu.free_bytes for gpu in found().gpus} if on_gpus else {}
    return {place: int(SHARED * free[place] / workers) for place, workers in on_gpus.items()}


def sweep(pid: int) -> None:
    """Remove what a process that used GPUs leaves behind where it ends without a farewell: the file in which torch
    counts who has opened its memory."""
    for left in COUNTERS.glob(f"torch_{pid}_*"):
        left.unlink(missing_ok=True)


def under_mps() -> bool:
    """Whether NVIDIA's MPS joins the processes on a GPU into one context, whose fatal errors are everybody's."""
    return "CUDA_MPS_PIPE_DIRECTORY" in os.environ


def said_of(device: str) -> str:
    """The GPUs that `device` names, for people, and whether workers were ever checked on them; "" for the CPU.

    Of a core, a worker knows how long it had it; of a GPU, it does not.
    """
    if device == "cpu":
        return ""
    if not device.startswith("cuda"):
        return "the stand-in for a GPU, which is this CPU"
    by_name = {f"cuda:{gpu.index}": gpu.name for gpu in found().gpus}
    names = sorted({by_name[place] for place in places(device)})
    return "; ".join([*(f"{name} ({checked(name)})" for name in names), "what else used them is not measured"])


def checked(name: str) -> str:
    """When `make gpu-check` ran on this model of GPU, and what passed and failed there; or that it never did."""
    file = importlib.resources.files("engine.live").joinpath("gpu-checked.json")
    entries = [entry for entry in msgspec.json.decode(file.read_bytes(), type=list[Checked]) if entry.gpu == name]
    if not entries:
        return NEVER_CHECKED
    entry = next((entry for entry in entries if entry.passed), entries[-1])
    failed = [f"FAILED: {', '.join(entry.failed)}"] if entry.failed else []
    checks = "; ".join([*([", ".join(entry.rows)] if entry.rows else []), *failed])
    return f"checked {entry.date} with driver {entry.driver}, torch {entry.torch}: {checks}"
