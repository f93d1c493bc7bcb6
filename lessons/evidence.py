"""What a round's answer rests on: logs of real runs, each repeated, and what this machine was measured to be."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from engine.live.machine import Machine
from engine.log import Log
from engine.scenario import Scenario


@dataclass(frozen=True)
class Evidence:
    """`logs`: for each named run one log a repeat. `setting`: where the knob stood. `machine`: if it was asked for."""

    logs: Mapping[str, tuple[Log, ...]] = field(default_factory=dict)
    setting: float = 0.0
    machine: Machine | None = None

    def of(self, run: str, fold: Callable[[Log], float]) -> tuple[float, ...]:
        """A number from each repeat of a run."""
        return tuple(fold(log) for log in self.logs[run])

    def joined(self, other: "Evidence") -> "Evidence":
        """This evidence and that of an earlier round; where both have a run of one name, this one's counts."""
        return Evidence({**other.logs, **self.logs}, self.setting, self.machine or other.machine)


class Turn(NamedTuple):
    """One run to make: the `repeat`-th of the run called `name`."""

    name: str
    repeat: int
    scenario: Scenario


def turns(scenarios: Mapping[str, Scenario], repeats: int) -> list[Turn]:
    """Each scenario `repeats` times. Interleaved, so that a mood of the machine does not fall on one of them alone."""
    return [
        Turn(name, repeat, _seeded(scenario, repeat))
        for repeat in range(repeats)
        for name, scenario in scenarios.items()
    ]


def _seeded(scenario: Scenario, repeat: int) -> Scenario:
    workload = msgspec.structs.replace(scenario.workload, seed=scenario.workload.seed + repeat)
    return msgspec.structs.replace(scenario, workload=workload)


def collected(done: Iterable[tuple[Turn, Log]], setting: float = 0.0, machine: Machine | None = None) -> Evidence:
    """Evidence from the turns that have been taken."""
    logs: dict[str, tuple[Log, ...]] = {}
    for turn, log in done:
        logs[turn.name] = (*logs.get(turn.name, ()), log)
    return Evidence(logs, setting, machine)
