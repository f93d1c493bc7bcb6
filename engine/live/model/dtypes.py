"""bf16 or fp32: decided by how fast this machine is at each, never by the name of its CPU.

`engine.live.compute.measure_dtypes` measures in a process of its own; the result is kept, so once a machine is enough.
"""

import functools
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import WorkerFailed
from engine.files import contents, write_whole
from engine.live.this_machine import processor

UPCAST = "upcast"  # the third way: weights stored in bf16 and converted to fp32 for each product
PREFILL_TOKENS = 256
DECODE_TOKENS = 4
WEIGHT = (1536, 576)  # [out, in] of one MLP weight of a 135M model
SHORTEST_S, LONGEST_S = 1e-9, 3600.0  # of one product
MOST_BYTES = 100_000  # of the file that keeps them
TOLERANCE = 1.25  # at the small prefill that is timed, converting weighs more than it does in a real one


class Speed(msgspec.Struct, frozen=True):
    """Seconds for one weight's matrix product, on one thread, with the rows of a prefill and of a decode step."""

    prefill_s: float
    decode_s: float

    @property
    def possible(self) -> bool:
        """Whether such a time can have been measured; a file may be damaged."""
        return all(SHORTEST_S < seconds < LONGEST_S for seconds in (self.prefill_s, self.decode_s))

    @property
    def prefill_flops_per_s(self) -> float:
        """2 FLOPs for each multiply-add."""
        return 2 * PREFILL_TOKENS * WEIGHT[0] * WEIGHT[1] / self.prefill_s


Speeds = dict[str, Speed]  # by way: "float32", "bfloat16" and `UPCAST`


def faster(speeds: Speeds) -> str:
    """bfloat16 where decode is faster and prefill about as fast; elsewhere float32, whose tokens repeat exactly."""
    fp32, by_cpu, upcast = speeds["float32"], speeds["bfloat16"], speeds[UPCAST]
    prefill_s, decode_s = min(by_cpu.prefill_s, upcast.prefill_s), min(by_cpu.decode_s, upcast.decode_s)
    return "bfloat16" if prefill_s < TOLERANCE * fp32.prefill_s and decode_s < fp32.decode_s else "float32"


def speeds(cache: Path) -> Speeds:
    """This machine's speeds: from the folder `cache`, or measured now (2 s). Raises WorkerFailed if that fails."""
    remembered = speeds_file(cache)
    with suppress(OSError, msgspec.MsgspecError, RecursionError):  # not there, or damaged: measured again
        kept = msgspec.json.decode(contents(remembered, MOST_BYTES), type=Speeds)
        if kept.keys() >= {"float32", "bfloat16", UPCAST} and all(speed.possible for speed in kept.values()):
            return kept
    measured = _measured()
    with suppress(OSError):  # a container's cache may be read-only: then the result lasts as long as this process
        write_whole(remembered, msgspec.json.encode(measured))
    return measured


def speeds_file(cache: Path) -> Path:
    """Where the speeds of this machine are kept."""
    return cache / f"speeds-of-3-{re.sub(r'[^A-Za-z0-9]+', '-', measured_on()).strip('-').lower()}.json"


@functools.cache
def _measured() -> Speeds:
    """A process of its own may set its threads as it likes, and keeps torch out of this one."""
    command = [sys.executable, "-P", "-m", "engine.live.compute.measure_dtypes"]
    ran = subprocess.run(command, capture_output=True, check=False)
    if ran.returncode:
        raise WorkerFailed(f"The speed of bf16 and fp32 could not be measured: {ran.stderr.decode()[-500:]}")
    return msgspec.json.decode(ran.stdout, type=Speeds)


def measured_on() -> str:
    """What a measurement holds for: the CPU, and the number of GPUs."""
    return f"{processor()} {len(list(Path('/dev').glob('nvidia[0-9]*')))} gpu"
