"""Simulated time in whole nanoseconds.

Sums of integers are exact. So several steps taken in one leap end exactly when they would have ended one by one, and
the same seed gives the same log, byte for byte.
"""

from collections.abc import Callable
from itertools import accumulate

import numpy as np
import simpy

from engine.sim.cost import Seconds

NS_PER_S = 1_000_000_000


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
    """The simulation's time, and its alarms."""

    def __init__(self) -> None:
        self.env = simpy.Environment(initial_time=0)

    @property
    def ns(self) -> int:
        return self.env.now  # type: ignore[return-value]  # whole, because every delay is

    @property
    def s(self) -> float:
        return self.env.now / NS_PER_S

    def at(self, s: float) -> int:
        """The moment `s` in nanoseconds."""
        return round(s * NS_PER_S)

    def alarm(self, delay_ns: int, ring: Callable[[simpy.Event], None]) -> simpy.Event:
        """Call `ring` with the alarm in `delay_ns`. There is no cancelling: a caller with a newer one ignores it."""
        alarm = self.env.timeout(delay_ns)
        alarm.callbacks.append(ring)
        return alarm
