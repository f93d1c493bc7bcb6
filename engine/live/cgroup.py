"""How much CPU time and memory this process may use, as its cgroups say: how a container's limits are set.

Both of Linux's versions. A limit further up binds too, so the whole path is read. A container may see the path as its
host does; then only the top of what is mounted is there, which is the container's own cgroup.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MEMBERSHIP, MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
NONE_BYTES = 2**62  # version 1 has no word for "no limit": it says nearly 2**63


def cpu_limit() -> float:
    """Seconds of CPU time in a second, as 1.5; infinity where nothing limits them."""
    return min((quota for folder in _folders("cpu") for quota in _quota(folder)), default=math.inf)


def memory_limit_bytes() -> float:
    """Infinity where nothing limits it."""
    names = ("memory.max", "memory.limit_in_bytes")
    said = (number for folder in _folders("memory") for name in names for number in _numbers(folder / name))
    return min((limit for limit in said if limit < NONE_BYTES), default=math.inf)


def _folders(controller: str) -> Iterator[Path]:
    """The process's own cgroup and those above it, as far as they can be seen."""
    with suppress(OSError):
        for line in MEMBERSHIP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            top = MOUNTED / controller if controllers else MOUNTED
            below = Path(path.lstrip("/"))
            yield from (top / part for part in (below, *below.parents) if ".." not in part.parts)


def _quota(folder: Path) -> Iterator[float]:
    whole = _numbers(folder / "cpu.max")  # quota and period; "max" as the quota is none
    if len(whole) != 2:
        whole = [*_numbers(folder / "cpu.cfs_quota_us"), *_numbers(folder / "cpu.cfs_period_us")]
    if len(whole) == 2 and min(whole) > 0:
        yield whole[0] / whole[1]


def _numbers(file: Path) -> list[float]:
    """Those in a file; none if it cannot be read."""
    with suppress(OSError):
        return [float(word) for word in file.read_text().split() if word.lstrip("-").isdigit()]
    return []
