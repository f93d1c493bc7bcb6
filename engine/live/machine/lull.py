"""Wait, but not for long, until nobody else computes on this machine.

What else a machine does comes and goes, so a run that was disturbed is better made again in the next lull than at once.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

LOOK_S = (
    0.3  # the least time over which idle cores can be told from busy ones: the kernel counts hundredths of a second
)
FREE = 0.85  # of the wanted cores: a page that is being looked at takes some per cent of one
LONGEST_S = 10.0  # for one lull
IN_ALL_S = 40.0

Ticks = tuple[int, int]  # idle, and all


def ticks() -> Ticks | None:
    """Of this process's cores since the machine started. None where the kernel does not say."""
    try:
        lines = Path("/proc/stat").read_text("ascii").splitlines()
    except OSError:
        return None
    mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    idle = total = 0
    for name, *counts in (line.split() for line in lines if line.startswith("cpu")):
        if name in mine:
            spent = [int(count) for count in counts[:8]]  # without the guests', which are in the users' already
            idle += spent[3] + spent[4]  # waiting for a disk is idle, too
            total += sum(spent)
    return idle, total


class Lull:
    """A moment in which so many cores are free, for one series of runs. It never blocks: ask `came` again and again.

    No lull is waited for longer than LONGEST_S, and no longer than IN_ALL_S in the whole series; after that `came` is
    always true.
    """

    def __init__(
        self, cores: int, read: Callable[[], Ticks | None] = ticks, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cores, self._read, self._clock = cores, read, clock
        self._left_s = IN_ALL_S
        self._since_s = self._looked_s = 0.0
        self._seen: Ticks | None = None
        self.awaited = False

    def begin(self) -> None:
        """From now on the next one is waited for."""
        self._since_s = self._looked_s = self._clock()
        self._seen = self._read()
        self.awaited = True

    def came(self) -> bool:
        """Whether the cores were free since the last look, or it has taken long enough; true if none is awaited."""
        if not self.awaited:
            return True
        now_s = self._clock()
        waited_s = now_s - self._since_s
        if waited_s < min(LONGEST_S, self._left_s) and not self._free(now_s):
            return False
        self._left_s -= waited_s
        self.awaited = False
        return True

    def wait(self) -> None:
        """Block until it has come."""
        self.begin()
        while not self.came():
            time.sleep(LOOK_S)

    def _free(self, now_s: float) -> bool:
        if now_s - self._looked_s < LOOK_S:
            return False
        before, self._seen, self._looked_s = self._seen, self._read(), now_s
        if before is None or self._seen is None:
            return True  # nothing is known here, so there is nothing to wait for
        idle, total = (now - then for now, then in zip(self._seen, before, strict=True))
        cores = len(os.sched_getaffinity(0))
        return total > 0 and idle / total * cores >= FREE * min(self._cores, cores)
