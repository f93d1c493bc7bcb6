"""Gather a round's evidence on the live engine, without a page: for notebooks and for the tests of claims."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec

from engine.disturbed import disturbed
from engine.link import LinkSpec
from engine.live.machine.lull import Lull
from engine.live.machine.machine import measure
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_on
from engine.log import Log
from engine.scenario import Deployment, ModelSpec
from lessons.evidence import ATTEMPTS, Evidence, Turn, calmer, collected, turns
from lessons.lesson import Round

FAST = "SPLIT_KITCHEN_FAST"  # set to 1, every run is made once: quick to test with, too noisy to learn from

Progress = Callable[[Turn, int, int], None]


@contextmanager
def kitchen(model: ModelSpec | None = None) -> Iterator[Front]:
    """Two workers, up and idle. Keep them for many rounds: their weights stay where they are."""
    with Front(Deployment(), LinkSpec(), model or ModelSpec()) as front:
        front.start()
        yield front


def gather(
    front: Front, asked: Round, setting: float = 0.0, progress: Progress = lambda turn, number, of: None
) -> Evidence:
    """Run what the round asks for, on the workers that are up; a disturbed run up to `ATTEMPTS` times, in lulls of the
    machine if they come soon, of which the least disturbed counts. `progress` hears of each run before it starts, as
    often as it is made."""
    fast = os.environ.get(FAST) == "1"
    todo = turns(asked.runs(setting), range(1 if fast else asked.repeats))
    lull = Lull(front.deployment.workers)
    machine = None
    done: list[tuple[Turn, Log]] = []
    while len(done) < len(todo):
        turn = todo[len(done)]
        progress(turn, len(done), len(todo))
        done.append((turn, _run(front, turn, lull, asked.timed, partial(progress, turn, len(done), len(todo)))))
        if len(done) == len(todo):
            machine = machine or (measure(front.model) if asked.needs_machine else None)
            more = range(0) if fast else asked.more_repeats(collected(done, setting, machine))
            todo += turns(asked.runs(setting), more)
    return collected(done, setting, machine)


def _run(front: Front, turn: Turn, lull: Lull, timed: bool, again: Callable[[], None]) -> Log:
    """The least disturbed of the attempts that it takes. `again` hears of each but the first."""
    scenario = msgspec.structs.replace(turn.scenario, model=front.model)
    best = run_on(front, scenario, make_requests(scenario))
    for _ in range(ATTEMPTS - 1 if timed else 0):
        if not disturbed(best.events):
            break
        lull.wait()
        again()
        best = calmer(best, run_on(front, scenario, make_requests(scenario)))
    return best
