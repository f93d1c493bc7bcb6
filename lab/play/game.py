"""A round, played as far as its moves go: the engine's own router and workers in simulated time.

Whenever there is more than one thing to do, somebody decides; when nobody does, time stands still and the moves that
are open now are the result. So a round is a pure function of its moves: to undo is to drop the last one, to replay is
to play the same list, and nothing is kept anywhere.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from engine.errors import BadInput
from engine.events import Event
from engine.log import Log, in_order
from engine.policy import Choice, Job
from engine.scenario import Kind
from engine.sim.cluster import Cluster
from engine.sim.leap import unfold
from engine.sim.network import Flow
from engine.sim.run import simulate
from lab.play.moves import PLATE_ON, Move, moves, sends, step_of
from lab.play.puzzle import SPLIT, Puzzle

MOST_MOVES = 400  # what the page offers ends a round in far fewer


class Ask(NamedTuple):
    """What is to be decided: one of `offered`, or another move that is possible. Of a tray, the jobs are empty."""

    offered: Sequence[Move]
    waiting: Sequence[Job] = ()
    running: Collection[Job] = ()


Decide = Callable[[Ask], str | None]


class _Halted(Exception):
    """Time stands still: for the moves that are offered, or because of one that is not possible. SimPy raises it once
    more, made of its arguments."""

    def __init__(self, offered: tuple[Move, ...], wrong: BadInput | None = None) -> None:
        super().__init__(offered, wrong)
        self.offered, self.wrong = offered, wrong


class Play(msgspec.Struct, frozen=True):
    """`open`: the moves at second `t`; none once all orders are served. `made_s`: when each move was made."""

    puzzle: Puzzle
    made: tuple[str, ...]
    made_s: tuple[float, ...]
    events: tuple[Event, ...]
    t: float
    open: tuple[Move, ...] = ()

    @property
    def over(self) -> bool:
        """Whether every order is served."""
        return not self.open

    @property
    def log(self) -> Log:
        """As of any other run."""
        return Log(self.puzzle.scenario, self.events, machine="simulated")


class _Cook:
    """The hands of whoever decides: a policy for a station, and the order of the trays on the pass."""

    def __init__(self, puzzle: Puzzle, decide: Decide) -> None:
        self._puzzle, self._decide = puzzle, decide
        self._plating_on: tuple[set[str], set[str]] | None = None  # for as long as these wait and these are plated
        self.made: list[tuple[str, float]] = []
        level = puzzle.level.deployment
        names = [f"worker-{n}" for n in range(level.workers)]
        mine = {name: self.step for name, role in zip(names, level.policies, strict=True) if role != "decode_only"}
        workers = dict.fromkeys(names, puzzle.worker)
        self.cluster = Cluster(
            level, puzzle.link, workers, leaping=False, watched=True, seed=puzzle.seed, own=mine
        )  # no leaps: every step is a decision
        self.cluster.network.pick = self.tray

    def step(self, waiting: Sequence[Job], running: Collection[Job], _: int) -> Choice:
        """What the station does next."""
        there = {job.request.id for job in waiting}, {job.request.id for job in running}
        if self._plating_on == there:
            return step_of(PLATE_ON, waiting, running)
        self._plating_on = None
        pace = self._puzzle.pace
        offered = moves(waiting, running, pace.cost, pace.portion)
        if len(offered) < 2:
            return step_of(offered[0].move, waiting, running) if offered else []
        move = self._ask(Ask(offered, waiting, running))
        self._plating_on = there if move == PLATE_ON else None
        try:
            return step_of(move, waiting, running)
        except BadInput as wrong:
            raise _Halted((), wrong) from wrong

    def tray(self, waiting: Sequence[Flow]) -> Flow:
        """Which tray is next on the pass."""
        if len(waiting) == 1:
            return waiting[0]
        offered = sends([(flow.request, self._puzzle.link.seconds(flow.nbytes)) for flow in waiting])
        move = self._ask(Ask(offered))
        named = {one.move: flow for one, flow in zip(offered, waiting, strict=True)}
        if move not in named:
            raise _Halted((), BadInput("move", move, "one of " + ", ".join(named)))
        return named[move]

    def _ask(self, ask: Ask) -> str:
        move = self._decide(ask)
        if move is None:
            raise _Halted(tuple(ask.offered))
        self.made.append((move, self.cluster.clock.s))
        return move


def played_by(puzzle: Puzzle, decide: Decide) -> Play:
    """The round up to where `decide` returns None. Raises BadInput for a move that is not possible then."""
    cook = _Cook(puzzle, decide)
    offered: tuple[Move, ...] = ()
    try:
        cook.cluster.run(puzzle.requests)
    except _Halted as halted:
        if halted.wrong:
            raise halted.wrong from None
        offered = halted.offered
    made, made_s = zip(*cook.made, strict=True) if cook.made else ((), ())
    return Play(puzzle, made, made_s, in_order(list(unfold(cook.cluster.record))), cook.cluster.clock.s, offered)


def play(puzzle: Puzzle, made: Sequence[str]) -> Play:
    """The round up to the decision after these moves. Raises BadInput."""
    if len(made) > MOST_MOVES:
        raise BadInput("moves", len(made), f"at most {MOST_MOVES}")
    left = deque(made)
    played = played_by(puzzle, lambda _: left.popleft() if left else None)
    if left:
        raise BadInput("moves", len(made), f"at most {len(played.made)}: then the last order is served")
    return played


def served_by(puzzle: Puzzle, kind: Kind) -> Log:
    """The same orders under one of the engine's deployments, on the level's stations; a split needs two."""
    workers = max(puzzle.level.deployment.workers, SPLIT.workers if kind == "disaggregated" else 1)
    deployment = msgspec.structs.replace(SPLIT, kind=kind, workers=workers, chunk=puzzle.pace.portion)
    return simulate(puzzle.served_by(deployment), puzzle.worker, puzzle.drafts)
