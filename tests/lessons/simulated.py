"""Evidence without an engine: the rounds' scenarios in simulated time, at a small model's pace on a quiet core."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from engine.events import Arrived, Event, StepEnded, StepStarted
from engine.live.machine.machine import Machine
from engine.log import Log
from engine.scenario import Scenario
from engine.sim.cost import LinearCost
from engine.sim.run import simulate
from engine.sim.station import WorkerSpec
from lessons.evidence import Evidence, collected, turns
from lessons.lesson import Lesson, Round

PACE = LinearCost(
    step=0.022, prefill_step=0.006, prefill_token=0.0022, attention_pair=4e-7, row=0.0035, context_token=1e-6
)
MACHINE = Machine("simulated", "bf16", 1e11, 12.5e9, 134_515_008, 28_311_552, 2, 23_040)
WORDS = "What is a KV cache? " * 50

Change = Callable[[Mapping[str, Scenario]], Mapping[str, Scenario]]


def setting_of(asked: Round) -> float:
    return asked.knob.values[-1] if asked.knob else 0.0


def log_of(scenario: Scenario, slower: float = 1.0) -> Log:
    """`slower`: of all steps, by that factor."""
    cost = LinearCost(**{field: getattr(PACE, field) * slower for field in PACE.__struct_fields__})
    made = simulate(scenario, WorkerSpec(cost, handoff_bytes_per_s=2e9))
    events = [msgspec.structs.replace(e, prompt=WORDS) if isinstance(e, Arrived) else e for e in made.events]
    return Log(made.scenario, tuple(events), made.machine, "2026-01-01T10:00:00+00:00")


def gathered(
    lesson: Lesson, asked: Round, change: Change = lambda runs: runs, slower: Sequence[float] = ()
) -> Evidence:
    """What the round is answered from. `change` makes other runs of it; `slower`: repeat by repeat."""
    evidence = Evidence()
    for one in lesson.sources(asked):
        setting = setting_of(one)
        pace = dict(enumerate(slower))
        done = [
            (turn, log_of(turn.scenario, pace.get(turn.repeat, 1.0)))
            for turn in turns(change(one.runs(setting)), range(one.repeats))
        ]
        machine = MACHINE if one.needs_machine else None
        evidence = collected(done, setting, machine).joined(evidence)
    return evidence


def disturbed(log: Log, lost: float) -> Log:
    """The same times, but for `lost` of each step somebody else had the core."""
    began: dict[str, float] = {}
    events: list[Event] = []
    for event in log.events:
        if isinstance(event, StepStarted):
            began[event.worker] = event.t
        if isinstance(event, StepEnded):
            took_s = event.t - began.get(event.worker, event.t)
            event = msgspec.structs.replace(event, cpu_s=took_s * (1 - lost))
        events.append(event)
    return msgspec.structs.replace(log, events=tuple(events))


def with_logs(evidence: Evidence, change: Callable[[Log], Log]) -> Evidence:
    logs = {run: tuple(map(change, repeats)) for run, repeats in evidence.logs.items()}
    return Evidence(logs, evidence.setting, evidence.machine)
