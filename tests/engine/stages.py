"""Where each request's time went: a fold over the first and last events of each stage, so a log needs no tokens."""

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.events import Arrived, Finished, HandoffEnded, Recalled, StepEnded, StepStarted


class Stages(msgspec.Struct):
    """Seconds in each stage; together they are the time from arrival to end.

    `queue_s` until its first step, `prefill_s` until the end of its last prefill step, `shipping_s` until its KV has
    landed and been verified (waiting for room at the receiver included), `decode_queue_s` until its first decode step,
    `decode_s` until its end. What a recalled request had done until then counts as queue.
    """

    queue_s: float = 0.0
    prefill_s: float = 0.0
    shipping_s: float = 0.0
    decode_queue_s: float = 0.0
    decode_s: float = 0.0


class _Story:
    def __init__(self, arrived: Arrived) -> None:
        self.prompt_tokens = arrived.prompt_tokens
        self.arrived_s = arrived.t
        self.begun_s: float | None = None
        self.prefilled_s: float | None = None
        self.landed_s: float | None = None
        self.decoding_s: float | None = None

    def again(self) -> None:
        self.begun_s = self.prefilled_s = self.landed_s = self.decoding_s = None

    def end(self, t: float) -> Stages:
        begun_s = t if self.begun_s is None else self.begun_s
        prefilled_s = t if self.prefilled_s is None else self.prefilled_s
        decoding_s = t if self.decoding_s is None else self.decoding_s
        landed_s = prefilled_s if self.landed_s is None else max(self.landed_s, prefilled_s)
        decoding_s = max(decoding_s, landed_s)
        return Stages(
            queue_s=begun_s - self.arrived_s,
            prefill_s=prefilled_s - begun_s,
            shipping_s=landed_s - prefilled_s,
            decode_queue_s=decoding_s - landed_s,
            decode_s=t - decoding_s,
        )


def stages(events: Iterable[Any]) -> dict[str, Stages]:
    """Every finished request's stages, by its id; events in order of time. Unknown objects are skipped."""
    open_: dict[str, _Story] = {}
    under_way: dict[str, StepStarted] = {}
    ended: dict[str, Stages] = {}
    for event in events:
        match event:
            case Arrived():
                open_[event.request] = _Story(event)
            case StepStarted():
                under_way[event.worker] = event
                _begun(event, open_)
            case StepEnded():
                if begun := under_way.pop(event.worker, None):
                    _ended(begun, event.t, open_)
            case HandoffEnded() if event.verified is not False and event.request in open_:
                open_[event.request].landed_s = event.t
            case Recalled() if event.request in open_:
                open_[event.request].again()
            case Finished() if event.request in open_:
                ended[event.request] = open_.pop(event.request).end(event.t)
    return ended


def _begun(step: StepStarted, open_: dict[str, _Story]) -> None:
    for piece in step.plan:
        story = open_.get(piece.request)
        if story is None:
            continue
        if story.begun_s is None:
            story.begun_s = step.t
        if story.decoding_s is None and _decodes(story, piece.start):
            story.decoding_s = step.t


def _ended(step: StepStarted, t: float, open_: dict[str, _Story]) -> None:
    for piece in step.plan:
        story = open_.get(piece.request)
        if story is not None and not _decodes(story, piece.start):
            story.prefilled_s = t


def _decodes(story: _Story, start: int) -> bool:
    """A slice beyond the prompt, or (where the decode worker samples the first token) any after the KV has landed."""
    return start >= story.prompt_tokens or story.landed_s is not None
