"""The best that can be reached with a puzzle's orders, as far as a bounded search finds it.

It plays: as the policies do, by rules (whom to prep next, how much, and when to plate), and with single moves of the
best rounds changed. Every candidate is a round of the real scheduler, so what is found can be replayed move by move.
"""

import random
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import product
from typing import Literal, NamedTuple

import msgspec

from engine.policy import POLICIES, Job
from lab.play.game import Ask, Decide, played_by
from lab.play.moves import PLATE, written
from lab.play.puzzle import Puzzle, number_of
from lab.play.score import Score, score

TRIES = 100  # rounds with a changed move
Plating = Literal["last", "first", "mixed", "between"]
RANKS: dict[str, Callable[[Job], float]] = {
    "first": lambda job: job.request.arrival_s,
    "short": lambda job: job.left,
    "long": lambda job: -job.left,
}


class Rule(NamedTuple):
    """`rank`: whom to prep next. `portions`: of one step, in a portion's halves; 0: whole prompts.

    `plating`: "last", if nobody waits; "first", until nobody is plated; "mixed", in the same step; "between", one step
    after each prep. `tray`: which of those that wait is next on the pass.
    """

    rank: str
    portions: int
    plating: Plating
    tray: str

    def decider(self, puzzle: Puzzle) -> Decide:
        """It decides for one round; "between" remembers what the last step was."""
        prepped = False
        sizes = {number_of(request.id): len(request.prompt_ids) for request in puzzle.requests}

        def decide(ask: Ask) -> str:
            nonlocal prepped
            if not ask.waiting:
                ranked = {"short": 1, "long": -1, "first": 0}[self.tray]
                return min(ask.offered, key=lambda move: ranked * sizes[move.orders[0]]).move
            if ask.running and (self.plating == "first" or (self.plating == "between" and prepped)):
                prepped = False
                return PLATE
            prepped = True
            job = min(ask.waiting, key=RANKS[self.rank])
            size = self.portions * puzzle.pace.portion // 2
            part = f":{size}" if size and job.left > size else ""
            return f"{number_of(job.request.id)}{part}" + ("p" if self.plating == "mixed" and ask.running else "")

        return decide


def rules(puzzle: Puzzle) -> Iterator[Rule]:
    """Those that a level can tell apart."""
    if puzzle.level.deployment.kind == "disaggregated":
        for rank, portions, tray in product(RANKS, (0, 2), RANKS):
            yield Rule(rank, portions, "last", tray)
        return
    platings: tuple[Plating, ...] = ("last", "first", "mixed", "between")
    for rank, portions, plating in product(RANKS, (0, 1, 2, 4), platings):
        yield Rule(rank, portions, plating, "first")


def policies(puzzle: Puzzle) -> tuple[str, ...]:
    """The engine's that the level's cook can follow."""
    return ("prefill_only",) if puzzle.level.deployment.kind == "disaggregated" else ("prefill_first", "chunked")


def as_policy(puzzle: Puzzle, policy: str) -> Decide:
    """The moves of a player who does as the engine's policy does, and sends trays in the order in which they come."""

    def decide(ask: Ask) -> str:
        if not ask.waiting:
            return ask.offered[0].move
        return written(POLICIES[policy](ask.waiting, ask.running, puzzle.pace.portion))

    return decide


class Found(msgspec.Struct, frozen=True):
    """A round that nothing else that was tried beats."""

    score: Score
    made: tuple[str, ...]


@lru_cache(maxsize=64)
def frontier(puzzle: Puzzle) -> tuple[Found, ...]:
    """In order of the mean TTFT. It takes a second or two of one core, and is kept."""
    return searched(puzzle, TRIES)


def searched(puzzle: Puzzle, tries: int) -> tuple[Found, ...]:
    """`tries`: how many rounds are played after those of the rules."""
    rng = random.Random(f"par {puzzle.level.number} {puzzle.seed}")
    every = list(rules(puzzle))
    best: list[Found] = []
    for decide in [*(as_policy(puzzle, name) for name in policies(puzzle)), *(rule.decider(puzzle) for rule in every)]:
        best = _kept(best, _found(puzzle, decide))
    for _ in range(tries):
        base = rng.choice(best)
        if base.made:
            best = _kept(best, _found(puzzle, _changed(base.made, rng, rng.choice(every).decider(puzzle))))
    return tuple(sorted(best, key=lambda one: one.score.ttft_s))


def _changed(made: tuple[str, ...], rng: random.Random, rule: Decide) -> Decide:
    """The same moves up to one that is another, then as the rule says."""
    at, count = rng.randrange(len(made)), iter(range(10**6))

    def decide(ask: Ask) -> str | None:
        n = next(count)
        if n < at:
            return made[n]
        return rng.choice(ask.offered).move if n == at else rule(ask)

    return decide


def _found(puzzle: Puzzle, decide: Decide) -> Found:
    played = played_by(puzzle, decide)
    return Found(score(played.events), played.made)


def _kept(best: list[Found], one: Found) -> list[Found]:
    if any(other.score.beats(one.score) or other.score.is_like(one.score) for other in best):
        return best
    return [*(other for other in best if not one.score.beats(other.score)), one]
