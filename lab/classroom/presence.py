"""Who has a page of the lab open: a class counts those, not everybody who has ever joined. No Streamlit."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.runs.lru import LRU

AWAY_S = 180.0  # a phone that sleeps for a minute is still here
KEPT = 10_000  # anybody can make up names


def digest(*told: object) -> str:
    """Stands for what it was told without revealing it."""
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


class Presence:
    """Learners are known by `digest(name)`. Thread-safe. `clock` gives seconds. Whoever is unknown counts as here for
    AWAY_S after the lab's start: pages come back one by one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: Counter[str] = Counter()  # pages that each has open
        self._seen_s: LRU[str, float] = LRU(KEPT)
        self._born_s = clock()
        self._lock = threading.Lock()

    @contextmanager
    def page(self, who: str) -> Iterator[None]:
        """While a page of theirs is open."""
        with self._lock:
            self._open[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[who] -= 1
                self._open += Counter()  # keeps what is above zero
                self._seen_s.put(who, self._clock())

    def saw(self, who: str) -> None:
        """They have just asked for a page."""
        with self._lock:
            self._seen_s.put(who, self._clock())

    def here(self, who: str) -> bool:
        with self._lock:
            seen_s = self._seen_s.get(who)
            return self._open[who] > 0 or self._clock() - (self._born_s if seen_s is None else seen_s) < AWAY_S
