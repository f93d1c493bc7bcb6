"""Runs that have been made for questions, by settings and seeds: who asks the same again need not wait for the engine.

What was run for one question is kept and given whole: runs made together can be compared, one from this morning beside
one from now can't. Only those that nothing disturbed; in memory, as all runs are.
"""

from collections.abc import Sequence

from engine.disturbed import disturbed
from engine.log import Log
from engine.scenario import Scenario

KEPT = 100  # questions; the oldest make room


class KeptRuns:
    """Safe to use from several threads: each act is one of a dict's own."""

    def __init__(self) -> None:
        self._logs: dict[tuple[Scenario, ...], tuple[Log, ...]] = {}

    def of(self, scenarios: Sequence[Scenario]) -> tuple[Log, ...] | None:
        """A scenario says everything that is set, and the seed."""
        return self._logs.get(tuple(scenarios))

    def keep(self, scenarios: Sequence[Scenario], logs: Sequence[Log]) -> None:
        if any(disturbed(log.events) for log in logs):
            return
        self._logs[tuple(scenarios)] = tuple(logs)
        while len(self._logs) > KEPT:
            self._logs.pop(next(iter(self._logs)), None)


KEPT_RUNS = KeptRuns()
