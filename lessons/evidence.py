"""What a round's answer rests on: logs of real runs, each repeated, and what this machine was measured to be."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec

from engine.disturbed import disturbed
from engine.live.machine.machine import Machine
from engine.log import Log
from engine.scenario import Scenario


@dataclass(frozen=True)
class Evidence:
    """`logs`: for each named run one log a repeat. `setting`: where the knob stood. `machine`: if it was asked for.

    `reused`: how many of the logs were there before anybody asked here, from runs with the same settings and seed.
    """

    logs: Mapping[str, tuple[Log, ...]] = field(default_factory=dict)
    setting: float = 0.0
    machine: Machine | None = None
    reused: int = 0

    def of(self, run: str, fold: Callable[[Log], float]) -> tuple[float, ...]:
        """A number from each repeat of a run."""
        return tuple(fold(log) for log in self.logs[run])

    def joined(self, other: "Evidence") -> "Evidence":
        """This evidence and that of an earlier round; where both have a run of one name, this one's counts."""
        logs = {**other.logs, **self.logs}
        return Evidence(logs, self.setting, self.machine or other.machine, self.reused + other.reused)

    @cached_property
    def made(self) -> "Made | None":
        """None where nothing was run."""
        logs = [log for repeats in self.logs.values() for log in repeats]
        if not logs:
            return None
        seeds = sorted(log.scenario.workload.seed for log in logs)
        ended = sorted(log.recorded_at for log in logs)
        bad = sum(disturbed(log.events) for log in logs)
        return Made(len(logs), (seeds[0], seeds[-1]), (ended[0], ended[-1]), bad, min(self.reused, len(logs)))


class Made(msgspec.Struct, frozen=True):
    """How evidence came about: from how many runs, with which seeds, ended when (UTC, ISO 8601), first and last; how
    many of them were disturbed, and how many were there already."""

    runs: int
    seeds: tuple[int, int]
    ended_at: tuple[str, str]
    disturbed: int
    reused: int


class Turn(NamedTuple):
    """One run to make: the `repeat`-th of the run called `name`."""

    name: str
    repeat: int
    scenario: Scenario


def turns(scenarios: Mapping[str, Scenario], repeats: int, seed: int = 0) -> list[Turn]:
    """Each scenario `repeats` times, with `seed` and those after it. Interleaved, so that a mood of the machine does
    not fall on one of them alone."""
    return [
        Turn(name, repeat, _seeded(scenario, seed + repeat))
        for repeat in range(repeats)
        for name, scenario in scenarios.items()
    ]


def _seeded(scenario: Scenario, more: int) -> Scenario:
    workload = msgspec.structs.replace(scenario.workload, seed=scenario.workload.seed + more)
    return msgspec.structs.replace(scenario, workload=workload)


def collected(
    done: Iterable[tuple[Turn, Log]], setting: float = 0.0, machine: Machine | None = None, reused: int = 0
) -> Evidence:
    """Evidence from the turns that have been taken."""
    logs: dict[str, tuple[Log, ...]] = {}
    for turn, log in done:
        logs[turn.name] = (*logs.get(turn.name, ()), log)
    return Evidence(logs, setting, machine, reused)
