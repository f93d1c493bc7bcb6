"""Why answers stood still: a fold over the events that finds each stall and what held it up.

A *stall* is a gap between two tokens of an answer, longer than `LONG` usual gaps. What is usual is the median of all
gaps of the run so far, the same for every answer: those that stood still equally long are told alike. Before there are
`ENOUGH` gaps it is the decode step that ended the gap, or the median of those few if that step prefilled as
well; before the first gap nothing is called a stall. The wait from the end of a request's prefill to its first token is
measured alike (phase "first"): so KV that crosses a link before the first token counts too. Answers that one step sets
going again, and that one cause had held, are one stall.

The *cause* is what overlaps at least half of the stall, and most of it; "none" says that nothing in this log does.

    prefill     steps of the answer's worker that prefilled others' prompts
    mixed       steps of the answer's worker that prefilled pieces of others' prompts beside its token (chunked prefill)
    tray        its own KV, on its way to the worker that decodes
    tray-ahead  others' KV, sent by the same worker before it, while its own had to wait
    left-out    steps of the answer's worker with tokens for others and none for it: its policy chose so
    room        its KV had nowhere to go: the receiver had no free blocks
    recall      it began once more, after a fault, or its worker was not there; this goes before all others

Every answer is a function of the events up to its `until`: what is heard later changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import singledispatchmethod
from itertools import pairwise
from typing import Any

import msgspec

from engine.events import (
    Arrived,
    Event,
    Finished,
    HandoffAccepted,
    HandoffEnded,
    HandoffMoved,
    HandoffOffered,
    HandoffStarted,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    WorkerDown,
    WorkerUp,
)
from engine.plan import Slice
from engine.stall import Cause, Phase, Stall, StallPart, overlapping
from engine.underway import Request, Step, Tray, Worker, crossing, prefills
from engine.usual_gap import RunningMedian

LONG = 8  # usual gaps, and a longer one is a stall
ENOUGH = 8  # gaps, and their median says what is usual
HALF = 0.5  # of a stall, and what overlaps as much is its cause
ALIKE = 0.8  # of the longest: stalls that are said to have lasted as long


def causes(events: Iterable[Event]) -> tuple[Stall, ...]:
    """Every stall of a log, in order of their ends."""
    fold = Stalls().fold
    return tuple(stall for event in events for stall in fold(event))


class Stalls:
    """Fold events one by one, as they are heard; each returns the stalls that ended with it.

    Any part of a log will do. Only within one worker, and about one request, must events come in order.
    """

    def __init__(self) -> None:
        self._workers: defaultdict[str, Worker] = defaultdict(Worker)
        self._requests: defaultdict[str, Request] = defaultdict(Request)
        self._sent: defaultdict[str, list[Tray]] = defaultdict(list)  # by sender
        self._gaps = RunningMedian()

    @singledispatchmethod
    def fold(self, event: Any) -> list[Stall]:
        """Take the next event. The stalls that it ends, which are now explained."""
        return []

    # ---- requests

    @fold.register
    def _arrived(self, event: Arrived) -> list[Stall]:
        self._requests[event.request].prompt_tokens = event.prompt_tokens
        return []

    @fold.register
    def _recalled(self, event: Recalled) -> list[Stall]:
        request = self._requests[event.request]
        request.recalls.append(StallPart(event.request, event.t, tokens=request.prompt_tokens, why=event.why))
        request.prefilled = False
        for tray in request.trays:
            tray.landed = event.t if tray.landed is None else tray.landed
        return self._owes_no_more(event.request)

    @fold.register
    def _finished(self, event: Finished) -> list[Stall]:
        for tray in self._requests[event.request].trays:
            tray.landed = event.t if tray.landed is None else tray.landed
        del self._requests[event.request]
        return self._owes_no_more(event.request)

    def _owes_no_more(self, request: str) -> list[Stall]:
        out: list[Stall] = []
        for worker in self._workers.values():
            worker.running.pop(request, None)
            if request in worker.due:
                worker.due.discard(request)
                out += self._complete(worker)
        return out

    # ---- steps and tokens

    @fold.register
    def _step_started(self, event: StepStarted) -> list[Stall]:
        worker = self._workers[event.worker]
        worker.step = Step(event.t, event.plan, [piece for piece in event.plan if self._prefills(piece)])
        return self._flush(worker)

    def _prefills(self, piece: Slice) -> bool:
        """Whether it is a piece of a prompt. One token is not, once all before it is there."""
        request = self._requests[piece.request]
        if request.prefilled and piece.start:
            return False
        request.prefilled = piece.start + piece.tokens >= request.prompt_tokens + request.made
        return True

    @fold.register
    def _step_ended(self, event: StepEnded) -> list[Stall]:
        worker = self._workers[event.worker]
        out = self._flush(worker)
        step, worker.step = worker.step, None
        if step is not None:
            self._left_out(event.worker, worker, step, event.t)
        worker.ended, worker.usual_s = event.t, self._usual_s
        if step is None:
            return out
        if step.pieces:
            worker.prefills.append((step, event.t))
        if worker.usual_s is None:
            worker.usual_s = self._gaps.value if step.pieces else event.t - step.since
        worker.due = {piece.request for piece in step.plan if self._makes_token(piece)}
        for request in (self._requests[piece.request] for piece in step.pieces):
            if not request.made:
                request.last, request.recalls = event.t, []
        return out

    def _left_out(self, name: str, worker: Worker, step: Step, ended: float) -> None:
        """Note whose token this step could have made, beside those of others, and did not. None of ours leaves any."""
        if len(step.pieces) == len(step.plan):
            return
        for request in worker.running.keys() - {piece.request for piece in step.plan}:
            if worker.running[request] <= step.since:
                part = StallPart(request, step.since, ended, tokens=1, worker=name)
                self._requests[request].left_out.append(part)

    def _makes_token(self, piece: Slice) -> bool:
        request = self._requests[piece.request]
        return piece.start + piece.tokens == request.prompt_tokens + request.made

    @fold.register
    def _token(self, event: TokenMade) -> list[Stall]:
        worker, request = self._workers[event.worker], self._requests[event.request]
        if request.last is not None:
            gap_s = event.t - request.last
            usual_s = worker.usual_s if worker.ended == event.t else self._usual_s
            if usual_s is not None and gap_s > LONG * usual_s:
                worker.group.append(self._stall(event, request.last, "next" if request.made else "first"))
            if request.made:
                self._gaps.add(gap_s)
        request.made = max(request.made, event.index + 1)
        request.last, request.recalls = event.t, []
        request.trays = [tray for tray in request.trays if tray.landed is None]
        request.left_out = []
        worker.running[event.request] = event.t
        worker.due.discard(event.request)
        return self._complete(worker)

    @property
    def _usual_s(self) -> float | None:
        return self._gaps.value if self._gaps.weight >= ENOUGH else None

    def leapt(self, worker: str, requests: Sequence[str], ends_s: Sequence[float]) -> list[Stall]:
        """The step that `worker` began last was taken `len(ends_s)` times, with a token for each of these requests
        every time. Steps so alike are usual: only before the first of them can there have been a stall."""
        out = self.fold(StepEnded(ends_s[0], worker))
        for name in requests:
            out += self.fold(TokenMade(ends_s[0], worker, name, self._requests[name].made, 0))
        for before, end_s in pairwise(ends_s):
            self._gaps.add(end_s - before, len(requests))
        more = len(ends_s) - 1
        for request in (self._requests[name] for name in requests if more):
            request.made += more
            request.last = ends_s[-1]
        return out

    def _stall(self, event: TokenMade, since: float, phase: Phase) -> Stall:
        cause = self._cause(event.request, event.worker, since, event.t)
        return Stall(since, event.t, event.worker, (event.request,), phase, cause)

    def _complete(self, worker: Worker) -> list[Stall]:
        return [] if worker.due else self._flush(worker)

    def _flush(self, worker: Worker) -> list[Stall]:
        """The stalls that its last step ended, those of one cause and of about one length together."""
        worker.due = set()
        group, worker.group = worker.group, []
        alike: defaultdict[tuple[str, ...], list[Stall]] = defaultdict(list)
        for stall in group:
            alone = (stall.cause.request,) if stall.cause.kind in ("tray", "tray-ahead") else ()
            alike[stall.phase, stall.cause.kind, *alone].append(stall)
        out = []
        for left in alike.values():
            while left:
                first = min(left, key=lambda stall: stall.since)
                together = [stall for stall in left if stall.seconds >= ALIKE * first.seconds]
                out.append(msgspec.structs.replace(first, requests=tuple(s.requests[0] for s in together)))
                left = [stall for stall in left if stall not in together]
        return out

    # ---- KV on its way

    @fold.register
    def _offered(self, event: HandoffOffered) -> list[Stall]:
        request = self._requests[event.request]
        tray = Tray(event.request, event.source, event.t, request.prompt_tokens, nbytes=event.nbytes)
        request.trays.append(tray)
        self._sent[event.source].append(tray)
        self._workers[event.source].running.pop(event.request, None)
        return []

    @fold.register
    def _accepted(self, event: HandoffAccepted) -> list[Stall]:
        if tray := self._tray(event.request):
            tray.accepted = event.t
        return []

    @fold.register
    def _started(self, event: HandoffStarted) -> list[Stall]:
        if tray := self._tray(event.request):
            tray.started, tray.nbytes = event.t, event.nbytes
        return []

    @fold.register
    def _moved(self, event: HandoffMoved) -> list[Stall]:
        tray = self._tray(event.request)
        if tray and tray.landed is None and event.bytes_done >= tray.nbytes > 0:
            tray.landed = event.t
        return []

    @fold.register
    def _ended(self, event: HandoffEnded) -> list[Stall]:
        tray = self._tray(event.request)
        if event.verified is not False and self._requests[event.request].made:
            self._workers[event.target].running[event.request] = event.t
        if tray and tray.landed is None:
            tray.landed = event.t if tray.started is None else min(event.t, tray.started + event.seconds)
        return []

    def _tray(self, request: str) -> Tray | None:
        trays = self._requests[request].trays
        return trays[-1] if trays else None

    # ---- workers that come and go

    @fold.register
    def _down(self, event: WorkerDown) -> list[Stall]:
        worker = self._workers[event.worker]
        worker.step = None
        worker.running.clear()
        worker.downs.append(StallPart("", event.t, worker=event.worker, why=f"{event.worker} was down"))
        return self._flush(worker)

    @fold.register
    def _up(self, event: WorkerUp) -> list[Stall]:
        downs = self._workers[event.worker].downs
        if downs and downs[-1].until is None:
            downs[-1].until = event.t
        return []

    # ---- what held it up

    def _cause(self, name: str, worker: str, since: float, until: float) -> Cause:
        request, at = self._requests[name], self._workers[worker]
        found = overlapping("recall", request.recalls[:1] + at.downs, since, until)
        if found.share >= HALF:
            return found
        own, ahead, room = self._on_the_way(request, since, until)
        candidates = [
            overlapping("prefill", prefills(at, name, worker, since, mixed=False), since, until),
            overlapping("tray", own, since, until),
            overlapping("tray-ahead", ahead, since, until),
            overlapping("left-out", request.left_out, since, until),
            overlapping("mixed", prefills(at, name, worker, since, mixed=True), since, until),
            overlapping("room", room, since, until),
        ]
        best = max(candidates, key=lambda cause: cause.share)
        if best.share < HALF and ahead:
            best = overlapping("tray-ahead", ahead + own, since, until)
        return best if best.share >= HALF else Cause("none")

    def _on_the_way(
        self, request: Request, since: float, until: float
    ) -> tuple[list[StallPart], list[StallPart], list[StallPart]]:
        """Its own KV on the link, others' ahead of it, and its wait for room at the receiver."""
        own, ahead, room = [], [], []
        for tray in request.trays:
            room.append(StallPart(tray.request, tray.offered, tray.accepted))
            if tray.started is not None:
                own.append(crossing(tray))
            for other in self._sent[tray.source]:
                if other is tray or other.started is None or (tray.started or until) < other.started:
                    continue
                part = crossing(other)
                part.until = min(x for x in (other.landed, tray.started, until) if x is not None)
                ahead.append(part)
        return own, ahead, room
