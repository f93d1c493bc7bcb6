"""The rules that every log obeys, live, recorded or simulated. A breach is a bug of ours: an AssertionError."""

from collections.abc import Iterator, Sequence

from engine.errors import BadInput
from engine.events import (
    Arrived,
    BlocksFreed,
    Connected,
    Counted,
    Event,
    Failed,
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
)


def check(events: Sequence[Event], *, complete: bool = True) -> None:
    """Raise AssertionError where events break the rules. `complete`: the run is over, so every request has ended.

    Time never runs backwards at a worker, and steps there do not overlap. A request arrives once, makes tokens 0, 1, 2
    and so on, and finishes once, with the tokens it made; nothing of it comes after. A handoff is offered, accepted,
    started and ended in that order, and the sender's blocks are freed after it was verified, never before. A client's
    log has only what a client can see.
    """
    grammar = _Grammar()
    for event in events:
        grammar.read(event)
    if complete:
        left = grammar.made.keys() - grammar.ended
        assert not left, f"never finished: {sorted(left)}"


def admit(events: Sequence[Event], name: str) -> None:
    """For a log from outside, which may be anybody's: raises BadInput where it breaks the rules."""
    wild = next((event.t for event in events if abs(event.t) > LONGEST_S), None)
    if wild is not None:
        raise BadInput(f"{name} time", wild, f"in seconds, at most {LONGEST_S:g}")
    for event in events:
        for field, value in numbers(event):
            if not 0 <= value <= MOST:
                raise BadInput(f"{name} {field.replace('_', ' ')}", value, f"from 0 to {MOST:g}")
    try:
        check(events, complete=False)
    except AssertionError as breach:
        raise BadInput(name, f"{breach}"[:200], "a recording made by --record") from breach
    except KeyError as unknown:
        raise BadInput(name, f"about {unknown}, which never arrived", "a recording made by --record") from unknown


def numbers(event: Event) -> Iterator[tuple[str, float]]:
    """What an event says in numbers from which others are computed, by field; its time apart."""
    for field in COUNTED.get(type(event), ()):
        value = getattr(event, field)
        if value is not None:
            yield field, value
    if isinstance(event, StepStarted):
        for piece in event.plan:
            yield "tokens", piece.tokens
            yield "start", piece.start


LONGEST_S = 1e9
MOST = 1e18
COUNTED: dict[type, tuple[str, ...]] = {
    Arrived: ("prompt_tokens", "max_output_tokens"),
    Counted: ("prompt_tokens", "output_tokens"),
    LinkChanged: ("bandwidth_bytes_per_s", "latency_s"),
    HandoffOffered: ("nbytes",),
    HandoffStarted: ("nbytes", "configured_bytes_per_s"),
    HandoffMoved: ("bytes_done",),
    HandoffEnded: ("nbytes", "seconds", "bytes_per_s", "configured_bytes_per_s"),
    StepEnded: ("cpu_s",),
}
INSIDE = (StepStarted, StepEnded, HandoffOffered, HandoffAccepted, HandoffStarted, HandoffEnded, BlocksFreed, Recalled)


class _Grammar:
    def __init__(self) -> None:
        self.outside = False
        self.made: dict[str, int] = {}
        self.ended: set[str] = set()
        self.clock: dict[str, float] = {}
        self.stepping: set[str] = set()
        self.tray: dict[str, Event] = {}
        self.source: dict[str, str] = {}

    def read(self, event: Event) -> None:
        assert not (self.outside and isinstance(event, INSIDE)), f"no client sees this: {event}"
        worker = getattr(event, "worker", None)
        if worker is not None and isinstance(event, StepStarted | StepEnded | TokenMade):
            assert event.t >= self.clock.get(worker, event.t), f"time ran backwards at {worker}: {event}"
            self.clock[worker] = event.t
        match event:
            case Arrived():
                assert event.request not in self.made, f"arrived twice: {event}"
                self.made[event.request] = 0
            case TokenMade():
                assert event.request not in self.ended, f"token after the end: {event}"
                assert event.index == self.made[event.request], f"token out of order: {event}"
                self.made[event.request] += 1
            case Finished():
                assert event.request in self.made.keys() - self.ended, f"finished out of turn: {event}"
                assert event.output_tokens == self.made[event.request], f"tokens were lost: {event}"
                self.ended.add(event.request)
                self.tray.pop(event.request, None)
            case Connected():
                self.outside = True
            case Counted() | Failed():
                assert event.request in self.made.keys() - self.ended, f"about nobody: {event}"
            case Recalled():
                self.tray.pop(event.request, None)
            case _:
                self._read_step(event)
                self._read_tray(event)

    def _read_step(self, event: Event) -> None:
        match event:
            case StepStarted():
                assert event.worker not in self.stepping, f"two steps at once: {event}"
                assert 0 <= event.blocks_used <= event.blocks, f"more blocks than there are: {event}"
                self.stepping.add(event.worker)
            case StepEnded():
                assert event.worker in self.stepping, f"a step ended that never began: {event}"
                self.stepping.discard(event.worker)
            case WorkerDown():
                self.stepping.discard(event.worker)

    def _read_tray(self, event: Event) -> None:
        before = {HandoffAccepted: HandoffOffered, HandoffStarted: HandoffAccepted, HandoffEnded: HandoffStarted}
        match event:
            case HandoffOffered():
                self.tray[event.request] = event
            case HandoffAccepted() | HandoffStarted() | HandoffEnded():
                tray = self.tray.get(event.request)
                if tray is not None:  # else it was recalled meanwhile, and what its sender still reports is stale
                    assert isinstance(tray, before[type(event)]), f"{event} after {tray}"
                    self.tray[event.request] = event
            case BlocksFreed():
                tray = self.tray.get(event.request)
                if tray is not None and event.worker == getattr(tray, "source", None):
                    landed = isinstance(tray, HandoffEnded) and tray.verified is not False  # None: nobody compares
                    assert landed, f"freed before it had landed: {event} after {tray}"
