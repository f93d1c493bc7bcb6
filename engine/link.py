"""The interconnect between two workers: one specification, one formula, used by real bytes and by simulated ones."""

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
    """How many bytes a link has been able to carry so far, when its bandwidth may change any time.

    Has no clock and moves nothing: a pacer asks `ready_s` when the next bytes have crossed, then tells what it
    `carried`. An idle wire saves nothing up: `open` begins a new burst.
    """

    def __init__(self, spec: LinkSpec, now: float) -> None:
        self.spec = spec
        self._settled_s = now
        self._credit_bytes = 0.0

    def open(self, since: float) -> None:
        """Begin a burst: whatever the wire could have carried before `since` is gone."""
        self._settled_s = max(since, self._settled_s)  # what is settled was under another bandwidth
        self._credit_bytes = 0.0

    def change(self, spec: LinkSpec, now: float) -> None:
        """New bandwidth from `now` on; what the old one carried until now stays carried."""
        self._settle(now)
        self.spec = spec

    def carried(self, nbytes: int, now: float) -> None:
        """`nbytes` have been moved; they use up what the wire had carried."""
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
