"""Steps that were taken in one leap, and how to spell them out.

Between two changes of its batch a decode step is like the one before it, one position further, and so is one with a
piece of a long prompt beside it. A simulated worker takes such steps at once. What it writes down then is one `Begun`
and one `Leapt` in place of the events of every step, neither of which names a position or a time for each row;
`unfold` turns them into exactly those events.
"""

from collections.abc import Iterable, Iterator

import msgspec

from engine.events import Event, StepEnded, StepStarted, TokenMade
from engine.plan import Plan, Slice
from engine.policy import Job
from engine.sim.ends import Ends
from engine.worker import UNKNOWN


class Batch(msgspec.Struct, frozen=True, gc=False):  # never in a cycle
    """What a step computes: a token of each of `jobs`, then `pieces` of prompts.

    `decoded`: how many decode steps the worker has taken; a job's position is that plus its `offset`. `context`: the
    tokens whose KV all jobs together read.
    """

    jobs: tuple[Job, ...]
    decoded: int
    context: int
    pieces: Plan

    @property
    def plan(self) -> Plan:
        """The step's slices."""
        return (*[Slice(job.request.id, job.offset + self.decoded, 1) for job in self.jobs], *self.pieces)

    def after(self, steps: int) -> "Batch":
        """The same so many steps later."""
        pieces = [Slice(piece.request, piece.start + steps * piece.tokens, piece.tokens) for piece in self.pieces]
        return Batch(self.jobs, self.decoded + steps, self.context + steps * len(self.jobs), tuple(pieces))


class Begun(msgspec.Struct, frozen=True, gc=False):
    """`StepStarted` in short: the same fields, but for the batch in place of its plan."""

    t: float
    worker: str
    batch: Batch
    waiting: int
    blocks_used: int
    blocks: int

    @property
    def event(self) -> StepStarted:
        """The same, spelled out."""
        return StepStarted(self.t, self.worker, self.batch.plan, self.waiting, self.blocks_used, self.blocks)


class Leapt(msgspec.Struct, frozen=True, gc=False):
    """The step over `batch` that `worker` began last was taken once for each of `ends`. Its jobs made a token each.

    A piece of a prompt went on each time where it had ended; what its last step sampled is said separately. `waiting`,
    `blocks_used` and `blocks` stay what they were when it began. `t` is when the last step ended.
    """

    t: float
    worker: str
    batch: Batch
    ends: Ends

    @property
    def plan(self) -> Plan:
        """The slices of its first step."""
        return self.batch.plan

    @property
    def ends_s(self) -> tuple[float, ...]:
        """When each step ended."""
        return self.ends.seconds


Happening = Event | Begun | Leapt


def unfold(record: Iterable[Happening]) -> Iterator[Event]:
    """The record with every leap expanded. Not in order of time, since the leaps of several workers overlap."""
    begun: dict[str, Begun | StepStarted] = {}
    for event in record:
        if isinstance(event, Leapt):
            yield from _spelled_out(event, begun[event.worker])
            continue
        if isinstance(event, (Begun, StepStarted)):
            begun[event.worker] = event
        yield event.event if isinstance(event, Begun) else event


def _spelled_out(leap: Leapt, begun: Begun | StepStarted) -> Iterator[Event]:
    worker, batch, ends_s = leap.worker, leap.batch, leap.ends_s
    for step, end_s in enumerate(ends_s):
        if step:
            begun_s, plan = ends_s[step - 1], batch.after(step).plan
            yield StepStarted(begun_s, worker, plan, begun.waiting, begun.blocks_used, begun.blocks)
        yield StepEnded(end_s, worker)
        for job in batch.jobs:
            index = job.offset + batch.decoded + step + 1 - len(job.request.prompt_ids)
            yield TokenMade(end_s, worker, job.request.id, index, UNKNOWN)
