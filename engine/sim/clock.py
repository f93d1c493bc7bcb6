"""Simulated time in whole nanoseconds.

Sums of whole numbers are exact. So steps that are taken in one leap end when they would have ended one by one, and the
same seed gives the same log, byte for byte.
"""

from collections.abc import Callable

import simpy

NS_PER_S = 1_000_000_000


def ns(seconds: float) -> int:
    """To the nearest, but at least one: whatever happens takes time."""
    return int(seconds * NS_PER_S + 0.5) or 1


class Clock:
    def __init__(self) -> None:
        self.env = simpy.Environment(initial_time=0)

    @property
    def ns(self) -> int:
        return self.env.now  # type: ignore[return-value]  # whole, because every delay is

    @property
    def s(self) -> float:
        return self.env.now / NS_PER_S

    def at(self, s: float) -> int:
        """That moment in nanoseconds."""
        return round(s * NS_PER_S)

    def alarm(self, delay_ns: int, ring: Callable[[simpy.Event], None]) -> simpy.Event:
        """Ring in `delay_ns`. Whoever has a newer alarm ignores the older one's ring."""
        alarm = self.env.timeout(delay_ns)
        alarm.callbacks.append(ring)
        return alarm
