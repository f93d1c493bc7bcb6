"""Whether a run had the machine to itself, computed from its steps."""

from collections import defaultdict
from collections.abc import Iterable

from engine.events import Event, StepEnded, StepStarted

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
    return (kept_waiting(events) or 0.0) > MOST


def disturbance(events: Iterable[Event]) -> str:
    """A sentence that says how the run was disturbed; "" if it was not."""
    share = kept_waiting(events) or 0.0
    if share <= MOST:
        return ""
    return (
        f"Disturbed: for {share:.0%} of its steps' time a worker did not have its core, because of something else on "
        "this machine."
    )
