"""Of several who want the same at the same time, the one who sees to it."""

import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
SILENT_S = 5.0  # whoever leads says so once a second; a page that was closed doesn't
KEPT = 100


class Leads(Generic[T]):
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._leads: dict[Hashable, tuple[T, float]] = {}
        self._lock = threading.Lock()

    def leader(self, what: Hashable, who: T, *, always: bool = False) -> T:
        """Who leads, now that `who` wants it too: the first who does, until they resign or fall silent. `always`: takes
        the lead from anybody."""
        now_s = time.monotonic()
        with self._lock:
            first, heard_s = self._leads.get(what, (who, now_s))
            if first is not who and not always and now_s - heard_s < SILENT_S:
                return first
            self._leads[what] = who, now_s
            while len(self._leads) > KEPT:
                self._leads.pop(next(iter(self._leads)))
            return who

    def resign(self, who: T) -> None:
        with self._lock:
            self._leads = {what: lead for what, lead in self._leads.items() if lead[0] is not who}
