"""When steps that follow each other end, in whole picoseconds.

A decode step reads one token more per row than the one before, so most steps last longer than the one before by the
same amount. Then no list is needed: the n-th ends after n x first + n (n - 1) / 2 x grows.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import isqrt

import msgspec

from engine.sim.clock import PS_PER_S


class Rising(msgspec.Struct, frozen=True, gc=False):  # values only
    """`steps` steps from `begun` on; the first lasts `first`, and each other one `grows` longer than the last. `lasts`:
    how long they last together. Made by `rising`."""

    begun: int
    first: int
    grows: int
    steps: int
    lasts: int

    @property
    def last(self) -> int:
        """When the last one ends."""
        return self.begun + self.lasts

    def ended(self, now: int) -> int:
        """How many have ended by `now`, which is not before `begun`."""
        passed, grows = now - self.begun, self.grows
        if passed < self.first:
            return 0
        if not grows:
            return min(self.steps, passed // self.first)
        linear = 2 * self.first - grows  # the largest n with grows n^2 + linear n <= 2 passed, in whole numbers
        return min(self.steps, (isqrt(linear * linear + 8 * grows * passed) - linear) // (2 * grows))

    def until(self, steps: int) -> "Rising":
        """Only the first so many."""
        return rising(self.begun, self.first, self.grows, steps)

    @property
    def seconds(self) -> tuple[float, ...]:
        """When each of them ends, in seconds."""
        begun, first, grows = self.begun, self.first, self.grows
        return tuple([(begun + n * first + n * (n - 1) // 2 * grows) / PS_PER_S for n in range(1, self.steps + 1)])

    @property
    def first_s(self) -> float:
        """When the first of them ends, in seconds."""
        return (self.begun + self.first) / PS_PER_S


def rising(begun: int, first: int, grows: int, steps: int) -> Rising:
    """So many steps from `begun` on, each `grows` longer than the one before."""
    return Rising(begun, first, grows, steps, steps * first + steps * (steps - 1) // 2 * grows)


class Uneven(msgspec.Struct, frozen=True, gc=False):  # values only
    """Steps from `begun` on that follow no such rule: when each of them ends."""

    begun: int
    ends: tuple[int, ...]

    @property
    def steps(self) -> int:
        return len(self.ends)

    @property
    def lasts(self) -> int:
        """How long they last together."""
        return self.ends[-1] - self.begun

    @property
    def last(self) -> int:
        """When the last one ends."""
        return self.ends[-1]

    def ended(self, now: int) -> int:
        """How many have ended by `now`."""
        return bisect_right(self.ends, now)

    def until(self, steps: int) -> "Uneven":
        """Only the first so many."""
        return Uneven(self.begun, self.ends[:steps])

    @property
    def seconds(self) -> tuple[float, ...]:
        """When each of them ends, in seconds."""
        return tuple([end / PS_PER_S for end in self.ends])

    @property
    def first_s(self) -> float:
        """When the first of them ends, in seconds."""
        return self.ends[0] / PS_PER_S


Ends = Rising | Uneven


def ends(begun: int, lasting: Sequence[int]) -> Ends:
    """Steps from `begun` on, which last so long."""
    if len(lasting) == 1:
        return rising(begun, lasting[0], 0, 1)
    return Uneven(begun, tuple(accumulate(lasting, initial=begun))[1:])
