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
from pathlib import Path

import msgspec

from engine.errors import WorkerFailed

DTYPES = ("float32", "bfloat16")
PREFILL_TOKENS = 256
DECODE_TOKENS = 4
WEIGHT = (1536, 576)  # one MLP weight of a 135M model
WEIGHTS = 24  # as many in turn, so that a decode step reads memory and not the cache
ROUNDS = 6


class Speed(msgspec.Struct, frozen=True):
    """Seconds for one weight's matrix product with a prefill's rows and with a decode step's rows, on one thread."""

    prefill_s: float
    decode_s: float

    @property
    def prefill_flops_per_s(self) -> float:
        return 2 * PREFILL_TOKENS * WEIGHT[0] * WEIGHT[1] / self.prefill_s


Speeds = dict[str, Speed]


def quicker(speeds: Speeds) -> str:
    """bfloat16 where it is the quicker one at both shapes; float32, whose tokens repeat exactly, elsewhere."""
    fp32, bf16 = speeds["float32"], speeds["bfloat16"]
    return "bfloat16" if bf16.prefill_s < fp32.prefill_s and bf16.decode_s < fp32.decode_s else "float32"


def speeds(cache: Path) -> Speeds:
    """This machine's speeds, from `cache` or else measured now (2 s, most of it for starting up)."""
    remembered = cache / f"speeds-{re.sub(r'[^A-Za-z0-9]+', '-', measured_on()).strip('-').lower()}.json"
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
    ran = subprocess.run([sys.executable, "-m", "engine.live.dtypes"], capture_output=True, check=False)
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
    """About 0.3 s of work: the best of several rounds. Sets this process to one thread.

    The dtypes take turns and time is the thread's own: a machine that is busy just now must not tip the scales.
    """
    import torch

    torch.set_num_threads(1)
    cuda = torch.cuda.is_available()
    clock = time.perf_counter if cuda else time.thread_time

    def seconds(rows: torch.Tensor, weights: list[torch.Tensor]) -> float:
        began = clock()
        for weight in weights:
            product = torch.nn.functional.linear(rows, weight)
        product.sum().item()  # a GPU is done only once somebody looks
        return (clock() - began) / len(weights)

    best = dict.fromkeys(DTYPES, Speed(math.inf, math.inf))
    with torch.inference_mode():
        like = {name: {"dtype": getattr(torch, name), "device": "cuda" if cuda else "cpu"} for name in DTYPES}
        weights = {name: [torch.ones(WEIGHT, **like[name]) for _ in range(WEIGHTS)] for name in DTYPES}
        for _ in range(ROUNDS):
            for name in DTYPES:
                prefill_s = seconds(torch.ones(PREFILL_TOKENS, WEIGHT[1], **like[name]), weights[name][:4])
                decode_s = seconds(torch.ones(DECODE_TOKENS, WEIGHT[1], **like[name]), weights[name])
                best[name] = Speed(min(best[name].prefill_s, prefill_s), min(best[name].decode_s, decode_s))
    return best


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure()))
