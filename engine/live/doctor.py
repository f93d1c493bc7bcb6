"""What this machine is and can, measured at the moment of asking. What can't be had here is said, not guessed."""

import importlib.util
import os
import platform
import time
from typing import Any

import torch

from engine.live.catalog import cache_folder, prepare
from engine.live.dtypes import processor, quicker, speeds
from engine.live.run import core_count
from engine.scenario import TRANSPORTS, ModelSpec

GEMM = 1024  # edge of the square product that measures peak FLOP/s
READ_BYTES = 2**28  # more than any cache holds
REPEATS = 5


def examine(model: ModelSpec) -> dict[str, Any]:
    """All but the GPUs. Raises BadInput for a model that is not there."""
    prepared = prepare(model)
    measured = speeds(cache_folder())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a worker has one core, so that is what is measured
    try:
        flops, read = peak_flops_per_s(getattr(torch, prepared.dtype)), read_bytes_per_s()
    finally:
        torch.set_num_threads(threads)
    return {
        "cpu": {"name": processor(), "cores": core_count(), "system": platform.system()},
        "memory": {"total_bytes": _memory_bytes()},
        "dtype": {
            "auto": quicker(measured),
            "prefill_flops_per_s": {name: speed.prefill_flops_per_s for name, speed in measured.items()},
        },
        "peak_flops_per_s": flops,
        "read_bytes_per_s": read,
        "model": {
            "name": prepared.name,
            "kv_bytes_per_token": prepared.kv_shape.bytes_per_token,
            "context_tokens": prepared.context_tokens,
        },
        "transports": [name for name in TRANSPORTS if name != "nixl" or importlib.util.find_spec("nixl")],
    }


def peak_flops_per_s(dtype: torch.dtype) -> float:
    """Of one core, in a square matrix product that stays in the cache: the best of a few."""
    a, b = torch.rand(GEMM, GEMM).to(dtype), torch.rand(GEMM, GEMM).to(dtype)
    return 2 * GEMM**3 / _quickest(lambda: a @ b)


def read_bytes_per_s() -> float:
    """Of one core, summing memory that no cache holds: the best of a few."""
    memory = torch.ones(READ_BYTES // 8, dtype=torch.int64)
    return READ_BYTES / _quickest(memory.sum)


def _quickest(act: Any) -> float:
    act()
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
