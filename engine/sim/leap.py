"""Steps that were taken in one leap, and how to spell them out.

Between two changes of its batch a decode step is like the one before it, one position further, and so is one with a
piece of a long prompt beside it. A simulated worker takes such steps at once. What it writes down then is one `Leapt`
in place of the events of every step; `unfold` turns it into exactly those events.
"""

from collections.abc import Iterable, Iterator

import msgspec

from engine.events import Event, StepEnded, StepStarted, TokenMade
from engine.plan import Plan, Slice
from engine.worker import UNKNOWN


class Leapt(msgspec.Struct, frozen=True, gc=False):
    """The step over `plan` that `worker` began last was taken `len(ends_s)` times; its `rows` made a token each time.

    A piece of a prompt went on each time where it had ended; what its last step sampled is said separately. `waiting`,
    `blocks_used` and `blocks` stay what its `StepStarted` said. `t` is when the last step ended.
    """

    t: float
    worker: str
    plan: Plan
    ends_s: tuple[float, ...]

    @property
    def rows(self) -> Plan:
        """The slices that decode; they stand before those of prompts, which have more than one token."""
        return self.plan if self.plan[-1].tokens == 1 else tuple([piece for piece in self.plan if piece.tokens == 1])


Happening = Event | Leapt


def unfold(record: Iterable[Happening]) -> Iterator[Event]:
    """The record with every leap expanded. Not in order of time, since the leaps of several workers overlap."""
    begun: dict[str, StepStarted] = {}
    made: dict[str, int] = {}
    for event in record:
        if isinstance(event, Leapt):
            yield from _spelled_out(event, begun[event.worker], made)
            continue
        if isinstance(event, StepStarted):
            begun[event.worker] = event
        elif isinstance(event, TokenMade):
            made[event.request] = event.index + 1
        yield event


def _spelled_out(leap: Leapt, begun: StepStarted, made: dict[str, int]) -> Iterator[Event]:
    worker = leap.worker
    for step, end_s in enumerate(leap.ends_s):
        if step:
            plan = tuple(Slice(one.request, one.start + step * one.tokens, one.tokens) for one in leap.plan)
            begun_s = leap.ends_s[step - 1]
            yield StepStarted(begun_s, worker, plan, begun.waiting, begun.blocks_used, begun.blocks)
        yield StepEnded(end_s, worker)
        for piece in leap.rows:
            index = made.get(piece.request, 0)
            made[piece.request] = index + 1
            yield TokenMade(end_s, worker, piece.request, index, UNKNOWN)
