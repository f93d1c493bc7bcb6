"""The link between two workers: one specification and one formula for real and for simulated bytes."""

import math

import msgspec


class LinkSpec(msgspec.Struct, frozen=True):
    """`bandwidth_bytes_per_s` None means unpaced: as fast as the transport goes. 0 means cut: nothing moves."""

    bandwidth_bytes_per_s: float | None = None
    latency_s: float = 0.0

    def seconds(self, nbytes: int) -> float:
        """Time from the first byte's departure to the last one's arrival, on an otherwise idle link."""
        if self.bandwidth_bytes_per_s is None:
            return self.latency_s
        if self.bandwidth_bytes_per_s == 0:
            return math.inf
        return self.latency_s + nbytes / self.bandwidth_bytes_per_s


class Wire:
    """How many bytes a link could carry so far, while its bandwidth may change at any time.

    It has no clock and moves nothing: a pacer asks `ready_s` when the next bytes have crossed, then reports what it
    `carried`. An idle wire earns no credit: `open` starts a new burst. Times are seconds on the caller's clock.
    """

    def __init__(self, spec: LinkSpec, now: float) -> None:
        self.spec = spec
        self._settled_s = now
        self._credit_bytes = 0.0

    def open(self, since: float) -> None:
        """Start a burst: what the wire could have carried before `since` is lost."""
        self._settled_s = max(since, self._settled_s)  # earlier time was settled under another bandwidth
        self._credit_bytes = 0.0

    def change(self, spec: LinkSpec, now: float) -> None:
        """Another bandwidth from `now` on; credit from the old one stays."""
        self._settle(now)
        self.spec = spec

    def carried(self, nbytes: int, now: float) -> None:
        """`nbytes` have been moved, at the expense of the wire's credit."""
        self._settle(now)
        self._credit_bytes -= nbytes

    def ready_s(self, nbytes: int, now: float) -> float:
        """Seconds from `now` until the next `nbytes` bytes have crossed: 0 if they have, infinity on a cut link."""
        self._settle(now)
        missing = nbytes - self._credit_bytes
        if self.spec.bandwidth_bytes_per_s is None or missing <= 0:
            return 0.0
        return missing / self.spec.bandwidth_bytes_per_s if self.spec.bandwidth_bytes_per_s else math.inf

    def _settle(self, now: float) -> None:
        if self.spec.bandwidth_bytes_per_s is None:
            self._credit_bytes = 0.0
        else:
            self._credit_bytes += (now - self._settled_s) * self.spec.bandwidth_bytes_per_s
        self._settled_s = now
