"""Run a workload on the live engine while something goes wrong, and compare it with an undisturbed run."""

from collections.abc import Callable
from pathlib import Path

from engine.events import Event, Recalled, StepStarted
from engine.grammar import check
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_on
from engine.log import Log
from engine.metrics import summarize
from engine.scenario import Scenario

Fault = Callable[[Front, Event], bool]


def run_on_front(front: Front, scenario: Scenario, fault: Fault = lambda front, event: False) -> Log:
    """One run on an engine that is ready. `fault` is called with each event until it returns True."""
    struck = False

    def watch(events: list[Event]) -> None:
        nonlocal struck
        for event in events:
            struck = struck or fault(front, event)

    log = run_on(front, scenario, make_requests(scenario), watch)
    check(log.events)
    return log


def answers(log: Log) -> dict[str, tuple[int, ...]]:
    return {request.id: request.output_ids for request in summarize(log.events).requests}


def recalled(log: Log) -> list[str]:
    return [event.request for event in log.events if isinstance(event, Recalled)]


def is_prefill(event: Event) -> bool:
    return isinstance(event, StepStarted) and any(piece.tokens > 1 for piece in event.plan)


def names() -> set[str]:
    """The names of shared memory on this machine: a run must leave none behind."""
    folder = Path("/dev/shm")
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def children(pid: int | str = "self") -> list[int]:
    """Live child processes of this process, or of `pid`."""
    alive: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        alive += [int(child) for child in (task / "children").read_text().split()]
    return alive
