"""Simulated time in whole picoseconds.

Sums of integers are exact. So several steps taken in one leap end exactly when they would have ended one by one, and
the same seed gives the same log, byte for byte. A step of milliseconds takes so many of them that the share of each
token of context is a whole number, too: then the end of any step of a leap is one formula (`engine.sim.ends`).
"""

from collections.abc import Callable
from heapq import heappop, heappush

import simpy
from simpy.events import NORMAL

PS_PER_S = 1_000_000_000_000


def ps(seconds: float) -> int:
    """To the nearest picosecond, but at least one: everything takes time."""
    return int(seconds * PS_PER_S + 0.5) or 1


class Alarm(simpy.Event):
    """A SimPy event that one listener hears, and that cannot fail: half the work of a `simpy.Timeout`."""

    def __init__(self, ring: "Callable[[Alarm], None]") -> None:
        self.ring = ring


class Clock(simpy.Environment):
    """The simulation's time in picoseconds, and its alarms. What rings at the same moment rings in the order set.

    `run` lets the alarms ring, one after the other, until there are none.
    """

    @property
    def ps(self) -> int:
        return self._now  # type: ignore[return-value]  # whole, because every delay is

    @property
    def s(self) -> float:
        return self._now / PS_PER_S

    def at(self, s: float) -> int:
        """The moment `s` in picoseconds."""
        return round(s * PS_PER_S)

    def run(self, until: None = None) -> None:  # type: ignore[override]
        """Let the alarms ring. A clock has nothing but alarms, and no end but the last one."""
        queue = self._queue
        while queue:
            self._now, _, _, alarm = heappop(queue)
            alarm.ring(alarm)  # type: ignore[attr-defined]  # an `Alarm`

    def alarm(self, delay_ps: int, ring: Callable[[Alarm], None]) -> Alarm:
        """Call `ring` in `delay_ps` with the alarm, which is returned.

        There is no cancelling: a caller that has set another one since then ignores it.
        """
        alarm = Alarm(ring)
        heappush(self._queue, (self._now + delay_ps, NORMAL, next(self._eid), alarm))  # what `schedule` does
        return alarm
