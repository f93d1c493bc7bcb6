"""Gather a round's evidence on the live engine, without a page: for notebooks and for the tests of claims."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from engine.disturbed import disturbed
from engine.link import LinkSpec
from engine.live.machine.lull import Lull
from engine.live.machine.machine import measure
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_on
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
    repeats = 1 if os.environ.get(FAST) == "1" else asked.repeats
    todo = turns(asked.runs(setting), repeats)
    attempts = ATTEMPTS if asked.timed else 1
    done = []
    lull = Lull(front.deployment.workers)
    for number, turn in enumerate(todo):
        scenario = msgspec.structs.replace(turn.scenario, model=front.model)
        best = None
        for attempt in range(attempts):
            if attempt:
                lull.wait()
            progress(turn, number, len(todo))
            best = calmer(best, run_on(front, scenario, make_requests(scenario)))
            if not disturbed(best.events):
                break
        assert best is not None
        done.append((turn, best))
    machine = measure(front.model) if asked.needs_machine else None
    return collected(done, setting, machine)
