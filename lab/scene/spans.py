"""The spans that are open while a log is folded into motions: of each request, its ticket, prep, tray and plate."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.events import HandoffAccepted, HandoffEnded, HandoffOffered, HandoffStarted

Motion = dict[str, Any]

PROMPT_CHARS = 90  # of a prompt that a ticket shows
PLACES = ("ticket", "prep", "tray", "plate")  # a request's own spans; at most one of each is open


@dataclass
class Order:
    """`target` tokens must be prepped in this life; a request that was recalled starts a new one."""

    number: int
    prompt_tokens: int = 0
    made: int = 0
    target: int = 0
    prepped: int = 0
    over: bool = False

    def start_over(self) -> None:
        """Begin a new life: the prompt and all tokens made so far are to be prepped."""
        self.target = self.prompt_tokens + self.made
        self.prepped = 0


@dataclass
class Span:
    """An open span, and the workers that have a part in it."""

    id: str
    workers: tuple[str, ...] = ()


class Spans:
    """All open spans. Methods return the updates to send; times are in seconds since the run's zero."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._open: dict[tuple[str, str], Span] = {}  # (kind, request)
        self._last: dict[tuple[str, str], str] = {}  # (kind, request) -> id, also of a closed one
        self._count = 0

    def order(self, request: str) -> Order:
        """The request's order; a request that is not known yet gets the next number."""
        if request not in self._orders:
            self._orders[request] = Order(number=len(self._orders) + 1)
        return self._orders[request]

    def open(self, kind: str, request: str) -> Span | None:
        """The request's open span of this kind."""
        return self._open.get((kind, request))

    def last(self, kind: str, request: str) -> str | None:
        """The id of the request's latest span of this kind, open or closed."""
        return self._last.get((kind, request))

    def start(self, kind: str, request: str, t: float, workers: tuple[str, ...], **fields: object) -> Motion:
        """Open a span."""
        span = Span(self.new_id(kind, request), workers)
        self._open[kind, request] = span
        self._last[kind, request] = span.id
        return {"kind": kind, "id": span.id, "request": request, "t0": rounded(t), "t1": None, **fields}

    def close(self, kind: str, request: str, t: float) -> list[Motion]:
        """Close the request's span of this kind, if one is open."""
        span = self._open.pop((kind, request), None)
        return [{"kind": kind, "id": span.id, "t1": rounded(t)}] if span else []

    def close_all(self, request: str, t: float) -> list[Motion]:
        """Close all spans of a request."""
        return [update for kind in PLACES for update in self.close(kind, request, t)]

    def close_worker(self, worker: str, t: float) -> list[Motion]:
        """Close the spans that a worker has a part in. Its tickets stay open: those requests are queued again."""
        of_worker = [key for key, span in self._open.items() if worker in span.workers and key[0] != "ticket"]
        return [update for kind, request in of_worker for update in self.close(kind, request, t)]

    def queue(self, request: str, t: float, *, again: bool = False) -> list[Motion]:
        """The request waits at the door, unless it is over."""
        return [] if self.order(request).over else [self.start("ticket", request, t, (), again=again)]

    def plate(self, worker: str, request: str, t: float) -> list[Motion]:
        """The request decodes on this worker from now on; no update if that was known."""
        span = self.open("plate", request)
        if self.order(request).over or (span is not None and span.workers == (worker,)):
            return []
        return [
            *(update for kind in ("ticket", "prep", "plate") for update in self.close(kind, request, t)),
            self.start("plate", request, t, (worker,), worker=worker),
        ]

    def tray(self, event: HandoffOffered | HandoffAccepted | HandoffStarted | HandoffEnded, **fields: object) -> Motion:
        """An update of the request's tray; the first event about it, whichever it is, puts it on the pass."""
        span = self.open("tray", event.request)
        if span is not None:
            return {"kind": "tray", "id": span.id, **fields}
        workers = (event.source, event.target)
        opened = self.start("tray", event.request, event.t, workers, source=event.source, target=event.target, nbytes=0)
        if self.order(event.request).over:  # cancelled meanwhile: nothing stays open
            self._open.pop(("tray", event.request))
            opened["t1"] = opened["t0"]
        return {**opened, **fields}

    def new_id(self, kind: str, owner: str) -> str:
        """An id that no other span has."""
        self._count += 1
        return f"{kind} {owner} {self._count}"


def rounded(seconds: float) -> float:
    """Microseconds are enough, and halve the bytes."""
    return round(seconds, 6)


def shortened(prompt: str) -> str:
    """A prompt on one line, of at most `PROMPT_CHARS` characters."""
    text = " ".join(prompt.split())
    return text if len(text) <= PROMPT_CHARS else text[: PROMPT_CHARS - 1] + "…"


def merged(updates: Iterable[Motion]) -> list[Motion]:
    """The same motions with fewer updates: those of one span become one."""
    spans: dict[str, Motion] = {}
    out: list[Motion] = []
    for update in updates:
        known = spans.get(update.get("id", ""))
        if known is not None:
            known.update(update)
            continue
        out.append(dict(update))
        if "id" in update:
            spans[update["id"]] = out[-1]
    return out
