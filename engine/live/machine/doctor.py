"""What this machine has and can do, measured when asked. What is missing is reported, not guessed."""

import importlib.util
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import safe_open

from engine.live import gpus
from engine.live.cgroup import memory_limit_bytes
from engine.live.gpus import Found, checked
from engine.live.machine import gpu_pairs
from engine.live.machine.gpu_pairs import Pair
from engine.live.machine.machine import Machine
from engine.live.model.catalog import Prepared, prepare
from engine.live.model.dtypes import faster, speeds
from engine.live.model.shape import BYTES_PER_ELEMENT
from engine.live.this_machine import cache_folder, core_count, processor
from engine.scenario import TRANSPORTS, ModelSpec

GEMM = 1024  # edge of the square product that measures peak FLOP/s
READ_BYTES = 2**28  # more than any cache holds
REPEATS = 5


def examine(model: ModelSpec) -> dict[str, Any]:
    """The report without GPUs. Raises BadInput for a model that cannot be found."""
    prepared = prepare(model)
    measured = speeds(cache_folder())
    machine = limits(prepared)
    return {
        "cpu": {"name": processor(), "cores": core_count(), "system": platform.system()},
        "memory": {"total_bytes": _memory_bytes()},
        "dtype": {
            "auto": faster(measured),
            "prefill_flops_per_s": {name: speed.prefill_flops_per_s for name, speed in measured.items()},
        },
        "peak_flops_per_s": machine.peak_flops_per_s,
        "read_bytes_per_s": machine.read_bytes_per_s,
        "model": {
            "name": prepared.name,
            "parameters": machine.parameters,
            "kv_bytes_per_token": machine.kv_bytes_per_token,
            "context_tokens": prepared.context_tokens,
        },
        "gpu_workers": gpu_workers(gpus.found()),
        "transports": [name for name in TRANSPORTS if name != "nixl" or importlib.util.find_spec("nixl")],
    }


def gpu_workers(there: Found) -> dict[str, str]:
    """What is known of workers on each GPU that torch finds, or why it finds none."""
    if not there.gpus:
        return {"no GPU here": there.why}
    about = {f"cuda:{gpu.index}": f"{gpu.name}, {checked(gpu.name)}" for gpu in there.gpus}
    if gpus.under_mps():
        about["MPS"] = "on: workers on one GPU compute at once, and none of them may be killed; never tried"
    return about


def pairs_of_gpus(places: Sequence[str]) -> list[Pair]:
    """What KV reaches between each two GPUs, measured now, and what each multiplies. The CPU is none of them."""
    gpus = [place for place in places if place != "cpu"]
    return gpu_pairs.measure(list(dict.fromkeys(gpus))) if gpus else []


def limits(prepared: Prepared) -> Machine:
    """The limits of one core, which is what a worker has, and the model's sizes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        flops, read = peak_flops_per_s(getattr(torch, prepared.dtype)), read_bytes_per_s()
    finally:
        torch.set_num_threads(threads)
    sizes = parameters(Path(prepared.folder))
    return Machine(
        name=processor(),
        dtype=prepared.dtype,
        peak_flops_per_s=flops,
        read_bytes_per_s=read,
        parameters=sum(sizes.values()),
        embedding_parameters=sum(size for name, size in sizes.items() if "embed_tokens" in name),
        bytes_per_parameter=BYTES_PER_ELEMENT[prepared.dtype],
        kv_bytes_per_token=prepared.kv_shape.bytes_per_token,
    )


def parameters(folder: Path) -> dict[str, int]:
    """The number of elements of each weight. A converted folder has two dtypes; its fp32 file counts."""
    sizes: dict[str, int] = {}
    for file in sorted(folder.glob("*.safetensors")):
        if file.name == "model.bf16.safetensors" and (folder / "model.safetensors").exists():
            continue
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no dict)
                sizes[name] = math.prod(weights.get_slice(name).get_shape())
    return sizes


def peak_flops_per_s(dtype: torch.dtype) -> float:
    """FLOP/s of one core in a square matrix product that stays in the cache: the best of REPEATS."""
    a, b = torch.rand(GEMM, GEMM).to(dtype), torch.rand(GEMM, GEMM).to(dtype)
    return 2 * GEMM**3 / _quickest(lambda: a @ b)


def read_bytes_per_s() -> float:
    """Bytes/s that one core reads from memory too large for any cache: the best of REPEATS."""
    memory = torch.ones(READ_BYTES // 8, dtype=torch.int64)
    return READ_BYTES / _quickest(memory.sum)


def _quickest(act: Any) -> float:
    """Seconds of the core's own time: while somebody else has the core, its limits stay what they are."""
    act()
    taken = []
    for _ in range(REPEATS):
        began = time.thread_time()
        act()
        taken.append(time.thread_time() - began)
    return min(taken)


def _memory_bytes() -> int:
    """The machine's, or a container's share of it."""
    return int(min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), memory_limit_bytes()))


if __name__ == "__main__":
    spec = msgspec.json.decode(sys.argv[1], type=ModelSpec)
    sys.stdout.buffer.write(msgspec.json.encode(limits(prepare(spec))))
