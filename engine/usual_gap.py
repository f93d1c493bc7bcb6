"""The usual gap between tokens: a median that keeps up with a run."""

from heapq import heappop, heappush


class RunningMedian:
    """The median of all samples so far, each counted `weight` times; adding one takes O(log n)."""

    def __init__(self) -> None:
        self.weight = 0
        self._low: list[tuple[float, int]] = []  # the lower half, negated: its largest sample first
        self._high: list[tuple[float, int]] = []
        self._low_weight = 0

    def add(self, sample: float, weight: int = 1) -> None:
        """Add a sample that counts `weight` times."""
        self.weight += weight
        if self._low and sample <= -self._low[0][0]:
            self._push_low(sample, weight)
        else:
            heappush(self._high, (sample, weight))
        while self._low and 2 * (self._low_weight - self._low[0][1]) >= self.weight:
            negated, moved = heappop(self._low)
            self._low_weight -= moved
            heappush(self._high, (-negated, moved))
        while 2 * self._low_weight < self.weight:
            self._push_low(*heappop(self._high))

    def _push_low(self, sample: float, weight: int) -> None:
        heappush(self._low, (-sample, weight))
        self._low_weight += weight

    @property
    def value(self) -> float | None:
        """None before the first sample; of an even number the mean of the middle two."""
        if not self.weight:
            return None
        low = -self._low[0][0]
        return (low + self._high[0][0]) / 2 if 2 * self._low_weight == self.weight else low
