"""Runs that have been made for questions, by settings and seed: who asks the same again need not wait for the engine.

Only those that nothing disturbed; in memory, as all runs are. A run that is taken from here says when it was made.
"""

from engine.disturbed import disturbed
from engine.log import Log
from engine.scenario import Scenario

KEPT = 200  # the oldest make room


class KeptRuns:
    """Safe to use from several threads: each act is one of a dict's own."""

    def __init__(self) -> None:
        self._logs: dict[Scenario, Log] = {}

    def of(self, scenario: Scenario) -> Log | None:
        """A scenario says everything that is set, and the seed."""
        return self._logs.get(scenario)

    def keep(self, scenario: Scenario, log: Log) -> None:
        if disturbed(log.events):
            return
        self._logs[scenario] = log
        while len(self._logs) > KEPT:
            self._logs.pop(next(iter(self._logs)), None)


KEPT_RUNS = KeptRuns()
