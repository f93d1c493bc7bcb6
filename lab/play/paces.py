"""The paces that a lab can offer: of runs that its own engine has made, and those that every lab has."""

import hashlib
import threading
from collections.abc import Callable, Sequence

import msgspec

from engine.disturbed import disturbed
from engine.errors import BadInput
from engine.log import Log
from lab.play.pace import GPUS, RECORDED, Pace, measured, shipped

MOST_RUNS, MOST_KEPT = 12, 32
HERE = "here-"


class Paces:
    """Thread-safe. `finished`: the logs of so many runs that are over, the newest last.

    A round keeps the pace it began with: its name holds what was measured. The lab forgets old ones, and all of them
    when it ends.
    """

    def __init__(self, finished: Callable[[int], Sequence[Log]]) -> None:
        self._finished = finished
        self._lock = threading.Lock()
        self._seen: tuple[str, ...] = ()  # of these runs
        self._newest: Pace | None = None
        self._kept: dict[str, Pace] = {}

    def offered(self) -> list[Pace]:
        """This machine's first, if it has made a run that can tell."""
        here = self._here()
        return [*([here] if here else []), *(shipped(name) for name in (RECORDED, *GPUS))]

    def of(self, name: str) -> Pace:
        """Raises BadInput."""
        if not name.startswith(HERE):
            return shipped(name)
        with self._lock:
            if name not in self._kept:
                raise BadInput("pace", name, "one that this lab still knows: begin another round")
            return self._kept[name]

    def keep(self, pace: Pace) -> None:
        """Know it by its name, whether or not it was measured since the lab began."""
        if pace.name.startswith(HERE):
            with self._lock:
                self._kept[pace.name] = pace

    def _here(self) -> Pace | None:
        logs = [log for log in self._finished(MOST_RUNS) if log.events and not disturbed(log.events)]
        seen = tuple(log.recorded_at + log.scenario.deployment.kind for log in logs)
        with self._lock:
            if seen != self._seen:
                self._seen, self._newest = seen, _measured(logs) or self._newest
                if self._newest:
                    self._kept[self._newest.name] = self._newest
                for old in list(self._kept)[:-MOST_KEPT]:
                    del self._kept[old]
            return self._newest


def _measured(logs: Sequence[Log]) -> Pace | None:
    """None while these runs are too few to tell."""
    runs = "the last run" if len(logs) == 1 else f"the last {len(logs)} runs"
    try:
        pace = measured("", "this machine", logs, f"in {runs} on this machine") if logs else None
    except BadInput:
        return None
    if pace is None or not pace.tells:
        return None
    digest = hashlib.sha256(msgspec.json.encode(pace.cost)).hexdigest()[:8]
    return msgspec.structs.replace(pace, name=HERE + digest)
