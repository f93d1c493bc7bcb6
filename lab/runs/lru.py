"""A bounded dict for things that can be made or asked for again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRU(Generic[K, V]):
    """At most `most` entries; the least recently used ones are evicted. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The key's value, which is now the most recently used; None if it is not kept."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: K, value: V, keep: Callable[[V], bool] = lambda _: False) -> None:
        """Add or replace an entry. Values that `keep` accepts are not evicted, even if there are more than `most`."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if (surplus := len(self._entries) - self._most) <= 0:
                return
            for old in [old for old, held in self._entries.items() if not keep(held)][:surplus]:
                del self._entries[old]

    def values(self) -> list[V]:
        """All of them, the most recently used last."""
        with self._lock:
            return list(self._entries.values())

    def drop(self, unwanted: Callable[[K, V], bool]) -> None:
        """Remove all entries that `unwanted` accepts."""
        with self._lock:
            for key in [key for key, value in self._entries.items() if unwanted(key, value)]:
                del self._entries[key]
