"""What a round's answer rests on: logs of real runs, each repeated, and what this machine was measured to be.

A *repeat* is one log of each run, made one after the other. Numbers are compared within a repeat, so that a machine
that is slow for a while slows both sides; and every number of a text comes from one repeat, so that they fit together.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from engine.disturbed import MOST, calmed, disturbed, kept_waiting
from engine.live.machine.machine import Machine
from engine.log import Log
from engine.scenario import Scenario

T = TypeVar("T")
V = TypeVar("V", covariant=True)
ATTEMPTS = 3  # that a run gets at most: something else on the machine disturbs one, rarely three in a row


class CannotTell(Exception):
    """What was asked does not follow from this evidence. The message is a sentence for the learner."""


class Sample(NamedTuple, Generic[V]):
    """What one repeat says. `lost`: the share of its time in which a worker did not have its core; `calm`: what a
    disturbed repeat might have said, had it had it. The truth lies between the two."""

    value: V
    repeat: int = 0
    lost: float = 0.0
    calm: V | None = None


@dataclass(frozen=True)
class Evidence:
    """`logs`: for each named run one log a repeat. `setting`: where the knob stood. `machine`: if it was asked for.

    `reused`: how many of the logs were there before anybody asked here, from runs with the same settings and seed.
    """

    logs: Mapping[str, tuple[Log, ...]] = field(default_factory=dict)
    setting: float = 0.0
    machine: Machine | None = None
    reused: int = 0

    def log(self, run: str) -> Log:
        """The run's log, its first where it was repeated. Raises CannotTell if it was not made."""
        made = self.logs.get(run)
        if not made:
            raise CannotTell(f"The run “{run}” was not made.")
        return made[0]

    def only(self, run: str) -> "Evidence":
        """Of one of the runs alone: what disturbed the others says nothing against it. Raises CannotTell."""
        self.log(run)
        return Evidence({run: self.logs[run]}, self.setting, self.machine, self.reused)

    def of(self, run: str, fold: Callable[[Log], float]) -> tuple[float, ...]:
        """A number from each repeat of a run. Raises CannotTell if it was not made, or does not say."""
        self.log(run)
        return tuple(fold(log) for log in self.logs[run])

    @property
    def known_machine(self) -> Machine:
        """Raises CannotTell if the machine was not measured."""
        if self.machine is None:
            raise CannotTell("What this machine can do was not measured.")
        return self.machine

    @cached_property
    def repeats(self) -> tuple["Evidence", ...]:
        """Each repeat as evidence of its own, with one log a run. There is one even where nothing was run."""
        count = max(map(len, self.logs.values()), default=0)
        return tuple(
            Evidence({run: logs[n : n + 1] for run, logs in self.logs.items()}, self.setting, self.machine)
            for n in range(max(count, 1))
        )

    @cached_property
    def lost(self) -> float:
        """The share of its steps' time in which a worker did not have its core, in the worst of the runs."""
        every = [kept_waiting(log.events) for logs in self.logs.values() for log in logs]
        return max((share for share in every if share is not None), default=0.0)

    @cached_property
    def calmed(self) -> "Evidence":
        """As it might have been without what somebody else took of the cores."""
        logs = {
            run: tuple(msgspec.structs.replace(log, events=calmed(log.events)) for log in repeats)
            for run, repeats in self.logs.items()
        }
        return Evidence(logs, self.setting, self.machine)

    def each(self, fold: Callable[["Evidence"], T]) -> tuple[Sample[T], ...]:
        """What each repeat says; those that do not say are left out. Raises CannotTell if none does."""
        samples: list[Sample[T]] = []
        why = CannotTell("Nothing was run.")
        for n, repeat in enumerate(self.repeats):
            try:
                value = fold(repeat)
                calm = fold(repeat.calmed) if repeat.lost > MOST else None
            except CannotTell as silent:
                why = silent
                continue
            if _finite(value) and (calm is None or _finite(calm)):
                samples.append(Sample(value, n, repeat.lost, calm))
            else:
                why = CannotTell("The runs hold nothing to compare with.")
        if not samples:
            raise why
        return tuple(samples)

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


def _finite(value: Any) -> bool:
    """Of a number, or of all numbers of a curve or of named ones; a name is."""
    if isinstance(value, str):
        return True
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list | tuple) else math.isfinite(value)


def calmer(first: Log | None, second: Log) -> Log:
    """Of two attempts at the same run, the one in which the workers had more of their cores."""
    if first is None:
        return second
    return min(first, second, key=lambda log: kept_waiting(log.events) or 0.0)


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


def turns(scenarios: Mapping[str, Scenario], repeats: Iterable[int], seed: int = 0) -> list[Turn]:
    """Each scenario once a repeat, the first of all with `seed`, the others with those after it. Interleaved, so that a
    mood of the machine does not fall on one of them alone."""
    return [
        Turn(name, repeat, _seeded(scenario, seed + repeat))
        for repeat in repeats
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
