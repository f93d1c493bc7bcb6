"""Events -> motions: the pure fold behind the kitchen's picture.

A motion is a plain dict that the browser draws by a clock. Because each carries its own times, the picture of any
moment is a function of (motions, t): live, paused, slowed down, scrubbed and replayed are the same drawing.

Spans have `id`, `t0` and `t1` (None while open). An update that names a known `id` changes that span's fields.

    order   request, number, prompt_tokens, max_output_tokens, prompt, reason, output_tokens
    ticket  request, again, worker and sent (once dispatched)           waits: at the door, then before a station
    prep    request, worker, tokens                                     is being prefilled; how far, the steps tell
    tray    request, source, target, nbytes, accepted, started, transport, configured, achieved, seconds, verified
    plate   request, worker                                             is being decoded
    step    worker, mode (prefill | decode | mixed), pieces [[request, start, tokens], ...], plates, cut
    worker  worker, why                                                 is up

Points have `t` only.

    token    request, worker, index, text          moved     tray (an id), bytes
    shelf    worker, used, blocks                  link      bandwidth, latency
    recalled request, why                          deployed  deployment, roles [[worker, policy], ...], transport
    leap     worker, requests, ends                (of a simulation: a token on each of these plates at each moment)
    stall    since, until, worker, orders, phase, cause, says         (it has ended at `until`: `engine/causes.py`)

Of a client's log there are orders, tickets, plates and tokens; its one role is "unseen".

Within one worker events come in order, across workers they may not: nothing here relies on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatchmethod

from engine.causes import Stalls
from engine.events import (
    SERVER,
    Arrived,
    BlocksFreed,
    Connected,
    Deployed,
    Dispatched,
    Finished,
    HandoffAccepted,
    HandoffEnded,
    HandoffMoved,
    HandoffOffered,
    HandoffStarted,
    LinkChanged,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    WorkerDown,
    WorkerUp,
)
from engine.plan import Slice
from engine.sim.leap import Happening, Leapt
from lab.scene.spans import Motion, Spans, merged, rounded, shortened
from lab.scene.stall_motion import stall_motion


def motions(events: Iterable[Happening]) -> list[Motion]:
    """A whole log, or a simulation's record, at once: every span complete, in order of first mention."""
    fold = Motions().fold
    return merged(update for event in events for update in fold(event))


@dataclass
class _Step:
    id: str
    ready: list[str] = field(default_factory=list)  # requests whose prep is complete when it ends


class Motions:
    """Fold events one by one; each returns the updates to send."""

    def __init__(self) -> None:
        self._spans = Spans()
        self._steps: dict[str, _Step] = {}  # by worker
        self._up: dict[str, str] = {}  # worker -> id of its span
        self._roles: dict[str, str] = {}
        self._shelves: dict[str, tuple[int, int]] = {}
        self._outside = False
        self._stalls = Stalls()

    def fold(self, event: Happening) -> list[Motion]:
        """The updates that follow from one event; none for a kind that is not drawn."""
        return [*self._moves(event), *self._stood_still(event)]

    @singledispatchmethod
    def _moves(self, event: Happening) -> list[Motion]:
        return []

    # ---- orders

    @_moves.register
    def _arrived(self, event: Arrived) -> list[Motion]:
        order = self._spans.order(event.request)
        order.prompt_tokens = event.prompt_tokens
        order.start_over()
        opened = {
            "kind": "order",
            "id": f"order {event.request}",
            "request": event.request,
            "number": order.number,
            "t0": rounded(event.t),
            "t1": None,
            "prompt_tokens": event.prompt_tokens,
            "max_output_tokens": event.max_output_tokens,
            "prompt": shortened(event.prompt),
        }
        return [opened, *self._spans.queue(event.request, event.t)]

    @_moves.register
    def _dispatched(self, event: Dispatched) -> list[Motion]:
        ticket = self._spans.last("ticket", event.request)
        if ticket is None:
            return []
        if span := self._spans.open("ticket", event.request):
            span.workers = (event.worker,)
        return [{"kind": "ticket", "id": ticket, "worker": event.worker, "sent": rounded(event.t)}]

    @_moves.register
    def _recalled(self, event: Recalled) -> list[Motion]:
        self._spans.order(event.request).start_over()
        point = {"kind": "recalled", "t": rounded(event.t), "request": event.request, "why": event.why}
        return [
            point,
            *self._spans.close_all(event.request, event.t),
            *self._spans.queue(event.request, event.t, again=True),
        ]

    @_moves.register
    def _finished(self, event: Finished) -> list[Motion]:
        self._spans.order(event.request).over = True
        closed = {
            "kind": "order",
            "id": f"order {event.request}",
            "t1": rounded(event.t),
            "reason": event.reason,
            "output_tokens": event.output_tokens,
        }
        return [*self._spans.close_all(event.request, event.t), closed]

    @_moves.register
    def _token(self, event: TokenMade) -> list[Motion]:
        order = self._spans.order(event.request)
        order.made = max(order.made, event.index + 1)
        point = {
            "kind": "token",
            "t": rounded(event.t),
            "request": event.request,
            "worker": event.worker,
            "index": event.index,
            "text": event.text,
        }
        return [*(self._spans.plate(event.worker, event.request, event.t) if self._outside else []), point]

    # ---- steps

    @_moves.register
    def _step_started(self, event: StepStarted) -> list[Motion]:
        step = _Step(self._spans.new_id("step", event.worker))
        out = self._close_step(event.worker, event.t)
        pieces: list[list[str | int]] = []
        for piece in event.plan:
            if self._is_prep(event.worker, piece):
                pieces.append([piece.request, piece.start, piece.tokens])
                out += self._prep(event, piece, step)
            else:
                out += self._spans.plate(event.worker, piece.request, event.t)
        self._steps[event.worker] = step
        plates = len(event.plan) - len(pieces)
        opened = {
            "kind": "step",
            "id": step.id,
            "worker": event.worker,
            "t0": rounded(event.t),
            "t1": None,
            "mode": "mixed" if pieces and plates else "prefill" if pieces else "decode",
            "pieces": pieces,
            "plates": plates,
        }
        return [*out, opened, *self._shelf(event.t, event.worker, event.blocks_used, event.blocks)]

    @_moves.register
    def _step_ended(self, event: StepEnded) -> list[Motion]:
        step = self._steps.get(event.worker)
        out = self._close_step(event.worker, event.t)
        for request in step.ready if step else ():
            prep = self._spans.open("prep", request)
            if prep is None or prep.workers != (event.worker,):
                continue  # recalled while the step ran
            out += self._spans.close("prep", request, event.t)
            if self._roles.get(event.worker) != "prefill_only":
                out += self._spans.plate(event.worker, request, event.t)
        return out

    @_moves.register
    def _leapt(self, leap: Leapt) -> list[Motion]:
        """Its first step is the one that was begun; the scene spells out the others."""
        requests = [piece.request for piece in leap.plan]
        for request in requests:
            self._spans.order(request).made += len(leap.ends_s)
        ends = [rounded(end_s) for end_s in leap.ends_s]
        point = {"kind": "leap", "t": rounded(leap.t), "worker": leap.worker, "requests": requests, "ends": ends}
        return [*self._close_step(leap.worker, leap.ends_s[0]), point]

    def _is_prep(self, worker: str, piece: Slice) -> bool:
        """Prep is all that is computed before a request's prompt (and what it had made in an earlier life) is done."""
        order = self._spans.order(piece.request)
        plate = self._spans.open("plate", piece.request)
        if plate is not None and plate.workers == (worker,):
            return False
        if piece.start == 0:
            order.start_over()
        return order.prepped < order.target

    def _prep(self, event: StepStarted, piece: Slice, step: _Step) -> list[Motion]:
        order = self._spans.order(piece.request)
        order.prepped = piece.start + piece.tokens
        if order.prepped >= order.target:
            step.ready.append(piece.request)
        if order.over or self._spans.open("prep", piece.request):
            return []
        return [
            *self._spans.close("ticket", piece.request, event.t),
            self._spans.start(
                "prep", piece.request, event.t, (event.worker,), worker=event.worker, tokens=order.target
            ),
        ]

    def _close_step(self, worker: str, t: float, **fields: object) -> list[Motion]:
        step = self._steps.pop(worker, None)
        return [{"kind": "step", "id": step.id, "t1": rounded(t), **fields}] if step else []

    # ---- trays

    @_moves.register
    def _offered(self, event: HandoffOffered) -> list[Motion]:
        return [*self._spans.close("tray", event.request, event.t), self._spans.tray(event, nbytes=event.nbytes)]

    @_moves.register
    def _accepted(self, event: HandoffAccepted) -> list[Motion]:
        return [self._spans.tray(event, accepted=rounded(event.t))]

    @_moves.register
    def _started(self, event: HandoffStarted) -> list[Motion]:
        return [
            self._spans.tray(
                event,
                started=rounded(event.t),
                nbytes=event.nbytes,
                transport=event.transport,
                configured=event.configured_bytes_per_s,
            )
        ]

    @_moves.register
    def _moved(self, event: HandoffMoved) -> list[Motion]:
        tray = self._spans.last("tray", event.request)
        return [{"kind": "moved", "t": rounded(event.t), "tray": tray, "bytes": event.bytes_done}] if tray else []

    @_moves.register
    def _landed(self, event: HandoffEnded) -> list[Motion]:
        landed = self._spans.tray(
            event,
            nbytes=event.nbytes,
            seconds=rounded(event.seconds),
            achieved=event.bytes_per_s,
            configured=event.configured_bytes_per_s,
            verified=event.verified,
        )
        for closed in self._spans.close("tray", event.request, event.t):
            landed |= closed
        return [
            landed,
            *(self._spans.plate(event.target, event.request, event.t) if event.verified is not False else []),
        ]

    # ---- stalls that have ended, and why they were

    def _stood_still(self, event: Happening) -> list[Motion]:
        if isinstance(event, Leapt):
            ended = self._stalls.leapt(event.worker, [piece.request for piece in event.plan], event.ends_s)
        else:
            ended = self._stalls.fold(event)
        return [stall_motion(stall, lambda request: self._spans.order(request).number) for stall in ended]

    # ---- stations and the road between them

    @_moves.register
    def _freed(self, event: BlocksFreed) -> list[Motion]:
        return self._shelf(event.t, event.worker, event.blocks_used, event.blocks)

    @_moves.register
    def _link(self, event: LinkChanged) -> list[Motion]:
        pace = {"bandwidth": event.bandwidth_bytes_per_s, "latency": event.latency_s}
        return [{"kind": "link", "t": rounded(event.t), **pace}]

    @_moves.register
    def _deployed(self, event: Deployed) -> list[Motion]:
        self._roles = dict(event.roles)
        return [
            {
                "kind": "deployed",
                "t": rounded(event.t),
                "deployment": event.deployment,
                "roles": [list(role) for role in event.roles],
                "transport": event.transport,
            }
        ]

    @_moves.register
    def _connected(self, event: Connected) -> list[Motion]:
        """A client's view: an order waits until its first token comes, and who makes it cannot be seen."""
        self._outside = True
        roles = [[SERVER, "unseen"]]
        return [{"kind": "deployed", "t": rounded(event.t), "deployment": "endpoint", "roles": roles, "transport": ""}]

    @_moves.register
    def _worker_up(self, event: WorkerUp) -> list[Motion]:
        out = self._worker_gone(event.worker, event.t)
        self._up[event.worker] = self._spans.new_id("worker", event.worker)
        opened = {
            "kind": "worker",
            "id": self._up[event.worker],
            "worker": event.worker,
            "t0": rounded(event.t),
            "t1": None,
        }
        return [*out, opened, *self._shelf(event.t, event.worker, 0, event.blocks)]

    @_moves.register
    def _worker_down(self, event: WorkerDown) -> list[Motion]:
        return self._worker_gone(event.worker, event.t, why=event.why)

    def _shelf(self, t: float, worker: str, used: int, blocks: int) -> list[Motion]:
        if self._shelves.get(worker) == (used, blocks):
            return []
        self._shelves[worker] = (used, blocks)
        return [{"kind": "shelf", "t": rounded(t), "worker": worker, "used": used, "blocks": blocks}]

    def _worker_gone(self, worker: str, t: float, **fields: object) -> list[Motion]:
        out = self._close_step(worker, t, cut=True) + self._spans.close_worker(worker, t)
        if up := self._up.pop(worker, None):
            out.append({"kind": "worker", "id": up, "t1": rounded(t), **fields})
        return out
