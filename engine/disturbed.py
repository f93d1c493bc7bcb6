"""Whether a run had the machine to itself: a fold over its steps."""

from collections import defaultdict
from collections.abc import Iterable

from engine.events import Event, StepEnded, StepStarted

MOST = 0.1  # more than that, and what was measured is no longer the engine's own doing


def kept_waiting(events: Iterable[Event]) -> float | None:
    """The share of its steps' time in which a worker's process did not have its core: of the worst worker. A step has
    nothing to wait for, so somebody else had it. None where nobody measured it."""
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
    return (kept_waiting(events) or 0.0) > MOST


def disturbance(events: Iterable[Event]) -> str:
    """What is to be held against the run, as a sentence; "" if nothing is."""
    share = kept_waiting(events) or 0.0
    if share <= MOST:
        return ""
    return (
        f"Disturbed: for {share:.0%} of its steps' time a worker did not have its core, because of something else on "
        "this machine."
    )
