"""What a free knob shows: the learner's own workers in simulated time, at another setting.

The simulator runs the same scheduler. What its steps cost is fitted to the runs that the learner has just made, so it
is as fast as this machine was then.
"""

import msgspec

from engine.errors import BadInput
from engine.scenario import BLOCK_TOKENS
from engine.sim.fit import fit, unpaced_bytes_per_s
from engine.sim.run import simulate
from engine.sim.station import WorkerSpec
from lessons.evidence import CannotTell, Evidence
from lessons.lesson import FreeKnob
from lessons.runs import handoff_bytes


def worker_like(evidence: Evidence) -> WorkerSpec:
    """A worker at the pace of these runs. Raises CannotTell if they have too few steps to say."""
    logs = [log for repeats in evidence.logs.values() for log in repeats]
    events = [log.events for log in logs]
    try:
        cost = fit(events)
    except BadInput as few:
        raise CannotTell(f"These runs have too few steps to simulate others: {few}") from few
    worker = WorkerSpec(cost, handoff_bytes_per_s=unpaced_bytes_per_s(events))
    for log in logs:
        tokens = -(-log.scenario.workload.prompt_tokens // BLOCK_TOKENS) * BLOCK_TOKENS
        try:
            return msgspec.structs.replace(worker, kv_bytes_per_token=round(handoff_bytes(log) / tokens))
        except CannotTell:
            continue
    return worker


def simulated(free: FreeKnob, worker: WorkerSpec, value: float) -> Evidence:
    """The knob's runs at that value, once each."""
    logs = {name: (simulate(scenario, worker),) for name, scenario in free.runs(value).items()}
    return Evidence(logs, value)
