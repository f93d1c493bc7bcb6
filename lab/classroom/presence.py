"""Who has a page of the lab open: a class counts those, not everybody who has ever joined. No Streamlit."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from lab.runs.lru import LRU

AWAY_S = 180.0  # a phone that sleeps for a minute is still here
KEPT = 10_000  # anybody can make up names


def digest(*told: object) -> str:
    """Stands for what it was told without revealing it."""
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


@lru_cache(KEPT)
def known_as(learner: str) -> str:
    """`digest(learner)`, which is asked for at every look at a class."""
    return digest(learner)


class Presence:
    """Learners are known by `known_as(name)`. Thread-safe. `clock` gives seconds. Whoever is unknown counts as here for
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
                if not self._open[who]:
                    del self._open[who]
                self._seen_s.put(who, self._clock())

    def saw(self, who: str) -> None:
        """They have just asked for a page."""
        with self._lock:
            self._seen_s.put(who, self._clock())

    def here(self, who: str) -> bool:
        return bool(self.those_here((who,)))

    def those_here(self, every: Iterable[str]) -> set[str]:
        """Of these learners."""
        with self._lock:
            since_s = self._clock() - AWAY_S
            return {who for who in every if who in self._open or self._last_s(who) > since_s}

    def _last_s(self, who: str) -> float:
        seen_s = self._seen_s.get(who)
        return self._born_s if seen_s is None else seen_s
