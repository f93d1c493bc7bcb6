"""Whether a run had the machine to itself, computed from its steps."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from engine.events import Event, StepEnded, StepStarted
from engine.units import percent

JOINED = "workers joined over the network"  # as a log's machine says it: those that ran are others
MOST = 0.1  # beyond this share, the measurements no longer show the engine itself


def kept_waiting(events: Iterable[Event]) -> float | None:
    """The share of its steps' time, 0 to 1, in which a worker's process did not have its core; of the worst worker.

    A step waits for nothing, so another process had the core. None if CPU time was not measured.
    """
    began: dict[str, float] = {}
    wall_s: defaultdict[str, float] = defaultdict(float)
    lost_s: defaultdict[str, float] = defaultdict(float)
    for event in events:
        match event:
            case StepStarted():
                began[event.worker] = event.t
            case StepEnded(cpu_s=float(cpu_s)) if event.worker in began:
                took_s = event.t - began.pop(event.worker)
                wall_s[event.worker] += took_s
                lost_s[event.worker] += max(0.0, took_s - cpu_s)
    return max((lost_s[worker] / wall for worker, wall in wall_s.items() if wall), default=None)


def disturbed(events: Iterable[Event]) -> bool:
    """Whether other processes kept the run's workers waiting for more than a share of `MOST`."""
    return (kept_waiting(events) or 0.0) > MOST


def disturbance(events: Sequence[Event], machine: str = "") -> str:
    """A sentence that says how the run was disturbed; "" if it was not. `machine`: where it ran, as a log says it."""
    share = kept_waiting(events) or 0.0
    if share <= MOST:
        return ""
    cores = re.search(r"\b([0-9.]+) cores?$", machine)
    workers = len({event.worker for event in events if isinstance(event, StepStarted)})
    if cores and float(cores[1]) < workers:
        because = f"since {workers} workers share {cores[0]} here"
    else:
        because = f"because of something else on {'its' if JOINED in machine else 'this'} machine"
    return f"Disturbed: for {percent(share)} of its steps' time a worker did not have its core, {because}."


def calmed(events: Sequence[Event]) -> tuple[Event, ...]:
    """An estimate of the run without the disturbance: during a step that lost a share of its time, all times shrink by
    that share (by the largest one, if several steps overlap). The truth lies between the run and this estimate, since
    some of the lost time may have delayed nothing. The durations that handoffs report stay as they are."""
    began: dict[str, float] = {}
    held_up: list[tuple[float, float, float]] = []  # from, to, share that was lost
    for event in events:
        match event:
            case StepStarted():
                began[event.worker] = event.t
            case StepEnded(cpu_s=float(cpu_s)) if event.worker in began:
                start_s = began.pop(event.worker)
                took_s = event.t - start_s
                if took_s > cpu_s:
                    held_up.append((start_s, event.t, 1 - max(cpu_s, 0.0) / took_s))
    marks = sorted({t for start_s, end_s, _ in held_up for t in (start_s, end_s)})
    lost_s = [0.0]
    for start_s, end_s in pairwise(marks):
        share = max((lost for first, last, lost in held_up if first <= start_s and end_s <= last), default=0.0)
        lost_s.append(lost_s[-1] + share * (end_s - start_s))

    def earlier(t: float) -> float:
        at = bisect_right(marks, t) - 1
        if at < 0:
            return t
        if at + 1 == len(marks):
            return t - lost_s[at]
        share = (lost_s[at + 1] - lost_s[at]) / (marks[at + 1] - marks[at])
        return t - lost_s[at] - share * (t - marks[at])

    return tuple(msgspec.structs.replace(event, t=earlier(event.t)) for event in events)
