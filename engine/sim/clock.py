"""Simulated time in whole nanoseconds.

Sums of integers are exact. So several steps taken in one leap end exactly when they would have ended one by one, and
the same seed gives the same log, byte for byte.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import accumulate

import numpy as np

from engine.sim.cost import Seconds

NS_PER_S = 1_000_000_000

Ring = Callable[[int], None]


def ns(seconds: float) -> int:
    """To the nearest nanosecond, but at least one: everything takes time."""
    return int(seconds * NS_PER_S + 0.5) or 1


def ends(lasting_s: Seconds, begun_ns: int) -> list[int]:
    """When each of several steps ends, which follow each other and last so long; each is rounded as `ns` does."""
    if isinstance(lasting_s, list):
        lasting = [int(seconds * NS_PER_S + 0.5) or 1 for seconds in lasting_s]
        lasting[0] += begun_ns
        return list(accumulate(lasting))
    whole = (lasting_s * NS_PER_S + 0.5).astype(np.int64)
    np.maximum(whole, 1, out=whole)
    whole[0] += begun_ns
    return whole.cumsum().tolist()  # type: ignore[no-any-return]


class Clock:
    """The simulation's time in nanoseconds, and its alarms. What rings at the same moment rings in the order set."""

    def __init__(self) -> None:
        self.ns = 0
        self._alarms: list[tuple[int, int, Ring]] = []  # when, number, what: a heap
        self._last = 0

    @property
    def s(self) -> float:
        return self.ns / NS_PER_S

    def at(self, s: float) -> int:
        """The moment `s` in nanoseconds."""
        return round(s * NS_PER_S)

    def alarm(self, delay_ns: int, ring: Ring) -> int:
        """Call `ring` in `delay_ns` with the alarm's number, which is returned.

        There is no cancelling: a caller that has set another one since then ignores it.
        """
        self._last = number = self._last + 1
        heappush(self._alarms, (self.ns + delay_ns, number, ring))
        return number

    def run(self) -> None:
        """Let the alarms ring, one after the other, until there are none."""
        alarms = self._alarms
        while alarms:
            self.ns, number, ring = heappop(alarms)
            ring(number)
