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

Alarm = simpy.Event


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
        self._env = simpy.Environment(initial_time=0)

    @property
    def ns(self) -> int:
        return self._env.now  # type: ignore[return-value]  # whole, because every delay is

    @property
    def s(self) -> float:
        return self._env.now / NS_PER_S

    def at(self, s: float) -> int:
        """The moment `s` in nanoseconds."""
        return round(s * NS_PER_S)

    def alarm(self, delay_ns: int, ring: Callable[[Alarm], None]) -> Alarm:
        """Call `ring` in `delay_ns` with the alarm, which is returned.

        There is no cancelling: a caller that has set another one since then ignores it.
        """
        alarm = self._env.timeout(delay_ns)
        alarm.callbacks.append(ring)
        return alarm

    def run(self) -> None:
        """Let the alarms ring, one after the other, until there are none."""
        self._env.run()
