"""Decode steps that were taken in one leap, and how to spell them out.

Between two changes of its batch a decode step is like the one before it, one position further. A simulated worker
takes such steps at once. What it writes down then is one `Leapt` in place of the events of every step; `unfold` turns
it into exactly those events.
"""

from collections.abc import Iterable, Iterator

import msgspec

from engine.events import Event, StepEnded, StepStarted, TokenMade
from engine.plan import Plan, Slice

PLACEHOLDER = 0  # simulated tokens have no value


class Leapt(msgspec.Struct, frozen=True, gc=False):
    """The step over `plan` that `worker` began last was taken `len(ends_s)` times; every slice made a token each time.

    `waiting`, `blocks_used` and `blocks` stay what its `StepStarted` said. `t` is when the last step ended.
    """

    t: float
    worker: str
    plan: Plan
    ends_s: tuple[float, ...]


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
            plan = tuple(Slice(piece.request, piece.start + step, 1) for piece in leap.plan)
            begun_s = leap.ends_s[step - 1]
            yield StepStarted(begun_s, worker, plan, begun.waiting, begun.blocks_used, begun.blocks)
        yield StepEnded(end_s, worker)
        for piece in leap.plan:
            index = made.get(piece.request, 0)
            made[piece.request] = index + 1
            yield TokenMade(end_s, worker, piece.request, index, PLACEHOLDER)
