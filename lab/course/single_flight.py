"""Single-flight: of several callers that want the same thing at the same time, the first runs and the others share."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from lab.runs.lru import LRU

T = TypeVar("T")
SILENT_S = 5.0  # a leader sends a heartbeat each second, unless its page was closed
KEPT = 100


class SingleFlight(Generic[T]):
    """Thread-safe. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._leaders: LRU[Hashable, tuple[T, float]] = LRU(KEPT)  # and their last heartbeat, seconds
        self._lock = threading.Lock()

    def leader(self, what: Hashable, caller: T, *, always: bool = False) -> T:
        """Returns who leads on `what`, now that `caller` wants it too, and refreshes the heartbeat if that is `caller`.
        The first caller leads until it resigns or is silent for SILENT_S. `always`: the caller takes the lead."""
        now_s = self._clock()
        with self._lock:
            first, heard_s = self._leaders.get(what) or (caller, now_s)
            if first is not caller and not always and now_s - heard_s < SILENT_S:
                return first
            self._leaders.put(what, (caller, now_s))
            return caller

    def resign(self, caller: T) -> None:
        """The caller leads nowhere any more."""
        self._leaders.drop(lambda _, lead: lead[0] is caller)
