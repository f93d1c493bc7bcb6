"""Steps that were taken in one leap, and how to spell them out.

Between two changes of its batch a decode step is like the one before it, one position further, and so is one with a
piece of a long prompt beside it. A simulated worker takes such steps at once. What it writes down then is one `Leapt`
in place of the events of every step, which names neither a position nor a time for each row; `unfold` turns it into
exactly those events.
"""

from collections.abc import Iterable, Iterator

import msgspec

from engine.events import Event, StepEnded, StepStarted, TokenMade
from engine.plan import Plan, Slice
from engine.policy import Job
from engine.sim.clock import PS_PER_S
from engine.sim.ends import Ends
from engine.worker import UNKNOWN


class Batch(msgspec.Struct, frozen=True, gc=False):  # never in a cycle
    """What a step computes: a token of each of `jobs`, then `pieces` of prompts.

    `decoded`: how many decode steps the worker has taken; a job's position is that plus its `offset`. `context`: the
    tokens whose KV all jobs together read. The rest is as in `StepStarted`.
    """

    jobs: tuple[Job, ...]
    decoded: int
    context: int
    pieces: Plan
    waiting: int = 0
    blocks_used: int = 0
    blocks: int = 0

    @property
    def plan(self) -> Plan:
        """The step's slices."""
        return (*[Slice(job.request.id, job.offset + self.decoded, 1) for job in self.jobs], *self.pieces)

    def after(self, steps: int) -> "Batch":
        """The same so many steps later."""
        return msgspec.structs.replace(
            self,
            decoded=self.decoded + steps,
            context=self.context + steps * len(self.jobs),
            pieces=tuple([Slice(one.request, one.start + steps * one.tokens, one.tokens) for one in self.pieces]),
        )

    def started(self, t: float, worker: str) -> StepStarted:
        """The event that says that a step over it begins."""
        return StepStarted(t, worker, self.plan, self.waiting, self.blocks_used, self.blocks)


class Leapt(msgspec.Struct, frozen=True, gc=False):
    """`worker` has taken the step over `batch` once for each of `ends`. Its jobs made a token each time.

    A piece of a prompt went on each time where it had ended; what its last step sampled is said separately. `told`:
    whether the first `StepStarted` stands in the record already. `t` is when the last step ended.
    """

    t: float
    worker: str
    batch: Batch
    ends: Ends
    told: bool

    @property
    def plan(self) -> Plan:
        """The slices of its first step."""
        return self.batch.plan

    @property
    def ends_s(self) -> tuple[float, ...]:
        """When each step ended."""
        return self.ends.seconds


Happening = Event | Leapt


def unfold(record: Iterable[Happening]) -> Iterator[Event]:
    """The record with every leap expanded. Not in order of time, since the leaps of several workers overlap."""
    for event in record:
        if isinstance(event, Leapt):
            yield from _spelled_out(event)
        else:
            yield event


def _spelled_out(leap: Leapt) -> Iterator[Event]:
    worker, begun_s = leap.worker, leap.ends.begun / PS_PER_S
    for step, end_s in enumerate(leap.ends_s):
        batch = leap.batch.after(step)
        if step or not leap.told:
            yield batch.started(begun_s, worker)
        yield StepEnded(end_s, worker)
        for job in batch.jobs:
            index = job.offset + batch.decoded + 1 - job.prompt_tokens
            yield TokenMade(end_s, worker, job.request.id, index, UNKNOWN)
        begun_s = end_s
