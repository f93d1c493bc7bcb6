"""From the raw lines of a vLLM and its client to events, line by line, in the order of their times.

It reconciles what vLLM names or counts differently:

- A step begins when it has been scheduled, or when the previous one ends if that is later: with asynchronous
  scheduling the next step is scheduled while one runs. It ends when its result is back in the engine core.
- A prefill engine samples a token that is discarded; the decode engine computes the last prompt position again.
- The decode engine READs the KV, once for each of its tensor-parallel ranks: together these are one handoff.
- No checksums are compared, so `HandoffEnded.verified` is None.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from engine.events import (
    Arrived,
    BlocksFreed,
    Dispatched,
    Event,
    Failed,
    Finished,
    HandoffAccepted,
    HandoffEnded,
    HandoffOffered,
    HandoffStarted,
    LinkChanged,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
)
from engine.plan import Plan, Slice
from engine.vllm.raw import (
    Accepted,
    Asked,
    Computed,
    Ended,
    Freed,
    GivenUp,
    Landed,
    Offered,
    Paced,
    Posted,
    Preempted,
    Queued,
    Raw,
    Scheduled,
    Unanswered,
    Up,
)

NAME = re.compile(r"^(?:chat)?cmpl-(?P<client>.+?)(?:-\d+)?(?:-[0-9a-f]{8})?$")
REASONS = {"stop": "stop", "length": "length", "abort": "cancelled"}  # any other is a failure
PRODUCER = "kv_producer"
TRANSPORT: Literal["nixl"] = "nixl"
Say = Callable[..., None]
TextOf = Callable[[str, int, int], str]  # request, index and token id -> what the token adds to the answer


def client_name(request: str) -> str:
    """The client's name for a request: "r1" in "cmpl-r1-0-93277ccb" and in "chatcmpl-r1-93277ccb"."""
    match = NAME.match(request)
    return match["client"] if match else request


def producers(engines: Mapping[str, Up]) -> frozenset[str]:
    """The engines that only prefill; none if no other engine takes their KV."""
    found = [name for name, up in engines.items() if up.role == PRODUCER]
    return frozenset(found if len(found) < len(engines) else ())


class Foreseen(msgspec.Struct, frozen=True):
    """What a whole recording tells ahead of its lines; empty while it is being made. All by request.

    `began_at`: where it was prefilled. `counted`: how many of its sampled tokens count. `tray_ends`: when the last
    rank's transfer ends.
    """

    began_at: dict[str, str] = {}
    counted: dict[str, int] = {}
    tray_ends: dict[str, float] = {}


NOTHING = Foreseen()
GIVEN_UP = "its prefill engine let go of its KV before it was fetched"


class Fold:
    """`zero`: the run's start on the lines' clock. `mark`: what all names of this run's requests begin with; it is
    taken off. `paced`: the link's pace at first, in bytes/s. `read` may say events earlier than its line."""

    def __init__(
        self,
        engines: Mapping[str, Up],
        zero: float,
        text: TextOf,
        foreseen: Foreseen = NOTHING,
        mark: str = "",
        paced: float | None = None,
    ) -> None:
        self._engines, self._zero, self._mark, self._text = engines, zero, mark, text
        self._producers = producers(engines)
        self._foreseen = foreseen
        self._said: list[Event] = []
        self._began_at = dict(foreseen.began_at)
        self._asked: set[str] = set()
        self._ended: set[str] = set()
        self._made: dict[str, int] = {}
        self._steps = {name: _Steps(name, up, self._plan, self._say) for name, up in engines.items()}
        self._trays = _Trays(engines, zero, foreseen.tray_ends, self._say)
        self._trays.configured = paced

    def take(self) -> list[Event]:
        """What has been said since the last call."""
        said, self._said = self._said, []
        return said

    def answers(self, engine: str) -> bool:
        """Whether the engine's tokens are answers."""
        return engine in self._engines and engine not in self._producers

    def prefills(self, engine: str) -> bool:
        return not self._producers or engine in self._producers

    def name(self, request: str) -> str:
        """The request's name in the log; another client's stays as it is, and is not known here."""
        name = client_name(request)
        return name.removeprefix(self._mark) if name.startswith(self._mark) else f"another's {name}"

    def read(self, line: Raw) -> None:
        """Lines must come in the order of their times, from the run's start on."""
        t, request = line.t - self._zero, self.name(getattr(line, "r", ""))
        match line:
            case Paced():
                self._trays.configured = line.rate
                self._say(LinkChanged(t, line.rate, 0.0))
            case Scheduled() if line.w in self._steps:
                self._steps[line.w].scheduled(line, t)
            case Computed() if line.w in self._steps:
                if self._steps[line.w].computed(line, t) and self.answers(line.w):
                    for name, ids in line.tokens.items():
                        self._tokens(t, line.w, self.name(name), ids)
            case Asked():
                self._asked.add(request)
                self._say(Arrived(t, request, line.prompt, line.most, line.text))
                self._began_at.setdefault(request, line.at or next(iter(self._engines)))
                self._say(Dispatched(t, request, self._began_at[request]))
            case Freed() if request in self._asked:  # also after the answer has ended
                self._freed(t, request, line)
            case _ if request in self._asked - self._ended:
                self._open(line, t, request)

    def _freed(self, t: float, request: str, line: Freed) -> None:
        up = self._engines[line.w]
        freed = BlocksFreed(t, line.w, request, min(line.used, up.blocks), up.blocks)
        if request not in self._ended and self._trays.given_up(request, line.w):
            self._say(Recalled(t, request, GIVEN_UP))
        if not self._trays.waits(freed):
            self._say(freed)

    def _open(self, line: Raw, t: float, request: str) -> None:
        """A line about a request that has not ended."""
        match line:
            case Queued() if self.prefills(line.w):
                self._began_at[request] = self._foreseen.began_at.get(request, line.w)
            case Preempted():
                self._say(Recalled(t, request, "preempted: no KV blocks"), Dispatched(t, request, line.w))
            case Ended() if self.answers(line.w):
                self._finish(t, request, REASONS.get(line.reason, "failed"), f"vLLM ended it: {line.reason}")
            case Unanswered():
                self._finish(t, request, "failed", line.why or "no answer")
            case GivenUp():
                self._finish(t, request, "cancelled", "")
            case Offered() | Accepted() | Posted() | Landed():
                self._trays.read(line, t, request, self._began_at.get(request, ""))

    def _say(self, *events: Event) -> None:
        self._said += events

    def _plan(self, step: Scheduled) -> Plan:
        """Without other clients' requests."""
        slices = (Slice(self.name(request), start, tokens) for request, start, tokens in step.plan)
        return tuple(piece for piece in slices if piece.request in self._asked)

    def _tokens(self, t: float, engine: str, request: str, ids: list[int]) -> None:
        """Speculative decoding may sample beyond the end of an answer; tokens that vLLM does not count are left out."""
        if request not in self._asked or request in self._ended:
            return
        for token in ids:
            index = self._made.get(request, 0)
            if index < self._foreseen.counted.get(request, index + 1):
                self._made[request] = index + 1
                self._say(TokenMade(t, engine, request, index, token, self._text(request, index, token)))

    def _finish(self, t: float, request: str, reason: str, why: str) -> None:
        if reason == "failed":
            self._say(Failed(t, request, why))
        self._say(Finished(t, request, reason, self._made.get(request, 0)))
        self._ended.add(request)


class _Steps:
    """One engine's steps, one after the other. A step without a request of this run is left out."""

    def __init__(self, engine: str, up: Up, plan: Callable[[Scheduled], Plan], say: Say) -> None:
        self._engine, self._up, self._plan, self._say = engine, up, plan, say
        self._ahead: deque[tuple[Scheduled, float]] = deque()  # the first of them runs
        self._told = False  # whether the one that runs has a request of this run

    def scheduled(self, step: Scheduled, t: float) -> None:
        self._ahead.append((step, t))
        if len(self._ahead) == 1:
            self._begin(t)

    def computed(self, done: Computed, t: float) -> bool:
        """Whether that step was seen when it was scheduled."""
        if done.n not in [step.n for step, _ in self._ahead]:
            return False
        while self._ahead:
            step, _ = self._ahead.popleft()
            if self._told:
                self._say(StepEnded(t, self._engine))
            if self._ahead:
                self._begin(max(t, self._ahead[0][1]))
            if step.n == done.n:
                break
        return True

    def _begin(self, t: float) -> None:
        step = self._ahead[0][0]
        plan = self._plan(step)
        self._told = bool(plan)
        if plan:
            used = min(step.used, self._up.blocks)
            self._say(StepStarted(t, self._engine, plan, step.waiting, used, self._up.blocks))


class _Trays:
    """The handoffs. An offer is told once its receiver is known; a start when the first rank posts its transfer or, if
    the plugin did not tell, when the last has landed."""

    def __init__(self, engines: Mapping[str, Up], zero: float, ends: Mapping[str, float], say: Say) -> None:
        self.configured: float | None = None
        self._engines, self._zero, self._ends, self._say = engines, zero, ends, say
        self._offers: dict[str, Offered] = {}
        self._accepted: set[str] = set()
        self._given_up: set[str] = set()
        self._freed: dict[str, BlocksFreed] = {}  # where the receiver has not yet noticed that the KV has landed
        self._started: dict[str, HandoffStarted] = {}
        self._moved: dict[str, list[Landed]] = {}

    def read(self, line: Raw, t: float, request: str, source: str) -> None:
        match line:
            case Offered():
                self._offers[request] = line
            case Accepted() if request in self._offers:
                offer = self._offers[request]
                self._accepted.add(request)
                self._say(HandoffOffered(offer.t - self._zero, request, offer.w, line.w, self._nbytes(request)))
                self._say(HandoffAccepted(t, request, offer.w, line.w))
            case Accepted() if request in self._given_up:
                self._say(Dispatched(t, request, line.w))
            case Accepted():
                self._say(HandoffAccepted(t, request, source, line.w))
            case Posted() if request in self._offers and request not in self._started:
                self._start(t, request, self._offers[request].w, line.w, self._nbytes(request))
            case Landed():
                self._moved.setdefault(request, []).append(line)
                if line.t == self._ends.get(request, line.t):
                    self._landed(self._moved.pop(request), t, request, source)

    def given_up(self, request: str, engine: str) -> bool:
        """Whether the engine that offers the request's KV lets go of it before another has accepted it."""
        offer = self._offers.get(request)
        if offer is None or offer.w != engine or request in self._accepted:
            return False
        del self._offers[request]
        self._given_up.add(request)
        return True

    def waits(self, freed: BlocksFreed) -> bool:
        """Whether it is told only once the receiver has noticed that the KV has landed: either engine may be first."""
        request = freed.request
        if request not in self._accepted or self._offers[request].w != freed.worker:
            return False
        self._freed[request] = freed
        return True

    def _nbytes(self, request: str) -> int:
        offer = self._offers[request]
        return offer.blocks * self._engines[offer.w].block_bytes

    def _start(self, t: float, request: str, source: str, target: str, nbytes: int) -> None:
        self._started[request] = HandoffStarted(t, request, source, target, nbytes, TRANSPORT, self.configured)
        self._say(self._started[request])

    def _landed(self, ranks: list[Landed], t: float, request: str, source: str) -> None:
        """All ranks' transfers have ended. If one failed, vLLM computes the prompt again, or ends the request."""
        began_s = min(rank.t0 for rank in ranks) - self._zero
        nbytes, target = sum(rank.bytes or 0 for rank in ranks), ranks[-1].w
        if request not in self._started:
            self._start(began_s, request, source, target, nbytes)
        start = self._started.pop(request)
        self._accepted.discard(request)
        freed = self._freed.pop(request, None)
        then = [] if freed is None else [msgspec.structs.replace(freed, t=t)]
        if not all(rank.ok for rank in ranks):
            self._say(Recalled(t, request, "its KV did not arrive"), Dispatched(t, request, target), *then)
            return
        seconds = t - start.t
        rate = nbytes / seconds if seconds else 0.0
        configured = start.configured_bytes_per_s
        self._say(HandoffEnded(t, request, source, target, nbytes, seconds, rate, configured, None), *then)
