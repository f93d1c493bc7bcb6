"""The road that KV takes, paced by the kernel: a network namespace of its own, and a token bucket on its loopback.

vLLM itself is unchanged: its decode server pulls KV over TCP, and `tc tbf` on that device is the link. Everything here
but `refused` is for a process inside the namespace.
"""

import math
import shutil
import subprocess
from functools import lru_cache

from engine.errors import WorkerFailed

ENTER = ("unshare", "--map-root-user", "--net")
DEVICE = ("dev", "lo", "root")
PACKET_BYTES = 9000
BURST_BYTES = 65_536  # must exceed a packet, or nothing passes; small beside a tray
BURST_S = 0.001  # at a high rate, what passes until the kernel looks again
WAITS_BYTES = 64_000_000  # more than a socket buffers: nothing is dropped and sent again
LEAST_BYTES_PER_S = 100_000  # below that vLLM takes a handoff for broken


@lru_cache(maxsize=1)
def refused() -> str:
    """Why no link can be paced on this machine, as a clause; "" if one can. The kernel is asked by doing it."""
    for tool in ("unshare", "ip", "tc"):
        if shutil.which(tool) is None:
            return f"this machine lacks the program {tool}"
    tried = " && ".join([" ".join(_up()), " ".join(_bucket("add", 1e6))])
    asked = subprocess.run([*ENTER, "sh", "-c", tried], capture_output=True, text=True, check=False)
    if not asked.returncode:
        return ""
    said = asked.stderr.strip().splitlines() or ["no reason given"]
    return f"this system does not allow a network namespace with a token bucket ({said[-1][:100]})"


def open_road(bytes_per_s: float | None) -> None:
    """Make the namespace's loopback usable, and pace it; None: as fast as it goes. Raises WorkerFailed."""
    _run(_up())
    if bytes_per_s is not None:
        pace(bytes_per_s)


def pace(bytes_per_s: float | None) -> None:
    """Another pace, also for handoffs under way. Raises WorkerFailed."""
    if bytes_per_s is None:
        subprocess.run(["tc", "qdisc", "del", *DEVICE], capture_output=True, check=False)  # there may be none
    else:
        _run(_bucket("replace", bytes_per_s))


def _up() -> list[str]:
    return ["ip", "link", "set", "lo", "up", "mtu", str(PACKET_BYTES)]


def _bucket(verb: str, bytes_per_s: float) -> list[str]:
    rate = f"{math.ceil(max(bytes_per_s, LEAST_BYTES_PER_S) * 8)}bit"
    burst = max(BURST_BYTES, math.ceil(bytes_per_s * BURST_S))
    sizes = ["burst", str(burst), "limit", str(WAITS_BYTES)]
    return ["tc", "qdisc", verb, *DEVICE, "tbf", "rate", rate, *sizes]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerFailed(f"the link could not be paced: {done.stderr.strip()[:200]}")
