"""bf16 or fp32: decided by how quick this machine is at each, never by the name of its CPU.

Run as a program it measures and prints; `speeds` does that once a machine and remembers. Only the program needs torch.
"""

import functools
import math
import os
import platform
import re
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import WorkerFailed

UPCAST = "upcast"  # the third way: weights in bf16, which are made fp32 for the product
PREFILL_TOKENS = 256
DECODE_TOKENS = 4
WEIGHT = (1536, 576)  # one MLP weight of a 135M model
WEIGHTS = 24  # as many in turn, so that a decode step reads memory and not the cache
ROUNDS = 6
ABOUT = 1.25  # upcasting weighs most at the small prefill that is timed here


class Speed(msgspec.Struct, frozen=True):
    """Seconds for one weight's matrix product with a prefill's rows and with a decode step's rows, on one thread.

    Of fp32, of bf16, and of "upcast".
    """

    prefill_s: float
    decode_s: float

    @property
    def prefill_flops_per_s(self) -> float:
        return 2 * PREFILL_TOKENS * WEIGHT[0] * WEIGHT[1] / self.prefill_s


Speeds = dict[str, Speed]


def quicker(speeds: Speeds) -> str:
    """bfloat16 where decode is quicker and prefill about as quick; float32, whose tokens repeat exactly, elsewhere."""
    fp32, by_cpu, upcast = speeds["float32"], speeds["bfloat16"], speeds[UPCAST]
    prefill_s, decode_s = min(by_cpu.prefill_s, upcast.prefill_s), min(by_cpu.decode_s, upcast.decode_s)
    return "bfloat16" if prefill_s < ABOUT * fp32.prefill_s and decode_s < fp32.decode_s else "float32"


def speeds(cache: Path) -> Speeds:
    """This machine's speeds, from `cache` or else measured now (2 s, most of it for starting up)."""
    remembered = cache / f"speeds-of-3-{re.sub(r'[^A-Za-z0-9]+', '-', measured_on()).strip('-').lower()}.json"
    if remembered.exists():
        return msgspec.json.decode(remembered.read_bytes(), type=Speeds)
    measured = _measured_apart()
    with suppress(OSError):  # a container's cache may be read-only: then it holds for this process
        cache.mkdir(parents=True, exist_ok=True)
        fresh = remembered.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(msgspec.json.encode(measured))
        fresh.replace(remembered)
    return measured


@functools.cache
def _measured_apart() -> Speeds:
    """In a process of its own, which may set its threads as it likes."""
    ran = subprocess.run([sys.executable, "-m", "engine.live.model.dtypes"], capture_output=True, check=False)
    if ran.returncode:
        raise WorkerFailed(f"The speed of bf16 and fp32 could not be measured: {ran.stderr.decode()[-500:]}")
    return msgspec.json.decode(ran.stdout, type=Speeds)


def processor() -> str:
    """The CPU as it names itself."""
    info = Path("/proc/cpuinfo")
    if info.exists() and (named := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        return named[1].replace("(R)", "").replace("(TM)", "")
    return platform.processor() or platform.machine()


def measured_on() -> str:
    """What a measurement holds for: the CPU, and the number of GPUs."""
    return f"{processor()} {len(list(Path('/dev').glob('nvidia[0-9]*')))} gpu"


def measure() -> Speeds:
    """About 0.5 s of work: the best of several rounds. Sets this process to one thread.

    The ways take turns and time is the thread's own: a machine that is busy just now must not tip the scales.
    """
    import torch
    from torch.nn.functional import linear

    from engine.live.compute.products import Upcast

    torch.set_num_threads(1)

    widened = Upcast()

    def upcast(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return linear(rows, widened(weight, rows.dtype))

    few = upcast
    if find_spec("numba"):
        from engine.live.compute.small_batch import product as few

    def seconds(product: Any, rows: int, dtype: str, weights: list[torch.Tensor]) -> float:
        ones = torch.ones(rows, WEIGHT[1], dtype=getattr(torch, dtype))
        began = time.thread_time()
        for weight in weights:
            product(ones, weight)
        return (time.thread_time() - began) / len(weights)

    whole, half = (
        [torch.ones(WEIGHT, dtype=dtype) for _ in range(WEIGHTS)] for dtype in (torch.float32, torch.bfloat16)
    )
    ways = {  # products of many rows and of few, what the rows are in, and the weights
        "float32": (linear, few, "float32", whole),
        "bfloat16": (linear, linear, "bfloat16", half),
        UPCAST: (upcast, few, "float32", half),
    }
    best = dict.fromkeys(ways, Speed(math.inf, math.inf))
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for name, (of_many, of_few, dtype, weights) in ways.items():
                prefill_s = seconds(of_many, PREFILL_TOKENS, dtype, weights[:4])
                decode_s = seconds(of_few, DECODE_TOKENS, dtype, weights)
                best[name] = Speed(min(best[name].prefill_s, prefill_s), min(best[name].decode_s, decode_s))
    return best


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure()))
