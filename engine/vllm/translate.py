"""From the raw lines of a vLLM and its client to a log: a pure function that accepts lines in any order.

It reconciles what vLLM names or counts differently:

- A step begins when it has been scheduled, or when the previous one ends if that is later: with asynchronous
  scheduling the next step is scheduled while one runs. It ends when its result is back in the engine core.
- A prefill engine samples a token that is discarded; the decode engine computes the last prompt position again.
- The decode engine READs the KV, once for each of its tensor-parallel ranks: together these are one handoff.
- No checksums are compared, so `HandoffEnded.verified` is None.
"""

import re
from collections.abc import Callable, Iterable
from statistics import median
from typing import Literal

import msgspec

from engine.errors import BadInput
from engine.events import (
    Arrived,
    BlocksFreed,
    Deployed,
    Dispatched,
    Event,
    Failed,
    Finished,
    HandoffAccepted,
    HandoffEnded,
    HandoffOffered,
    HandoffStarted,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    Watched,
    WorkerUp,
)
from engine.log import Log, in_order
from engine.plan import Plan, Slice
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.vllm.raw import (
    Accepted,
    AnswerPiece,
    Asked,
    Computed,
    Ended,
    Freed,
    HookBroke,
    Landed,
    LinesDropped,
    Missing,
    Offered,
    Preempted,
    Queued,
    Raw,
    Scheduled,
    Unanswered,
    Up,
    Zero,
)

NAME = re.compile(r"^(?:chat)?cmpl-(?P<client>.+?)(?:-\d+)?(?:-[0-9a-f]{8})?$")
REASONS = {"stop": "stop", "length": "length", "abort": "cancelled"}  # any other is a failure
PRODUCER = "kv_producer"
TRANSPORT: Literal["nixl"] = "nixl"
MOMENTS = (
    "A step runs from its scheduling to its result. The end of a handoff is noticed only once per step, so its rate is "
    "a lower bound. The KV that arrives is not compared with the KV that was sent."
)
# The order of lines with the same time: that in which an engine acts.
ORDER: tuple[type, ...] = (
    *(Zero, Up, Asked, Queued, Offered, Accepted, Scheduled, Landed, Computed, AnswerPiece, Preempted, Freed, Ended),
    *(Unanswered, Missing, HookBroke, LinesDropped),
)


class Translation(msgspec.Struct, frozen=True):
    """A log, and what it lacks. `unasked`: requests that the client did not send, or sent before the run started;
    `dropped`: lines that the plugin had to drop; `misses`: hooks that this vLLM lacks, or that failed."""

    log: Log
    unasked: int = 0
    dropped: int = 0
    misses: tuple[str, ...] = ()


def client_name(request: str) -> str:
    """The client's name for a request: "r1" in "cmpl-r1-0-93277ccb" and in "chatcmpl-r1-93277ccb"."""
    match = NAME.match(request)
    return match["client"] if match else request


def translate(lines: Iterable[Raw], recorded_at: str = "") -> Translation:
    """The run in the lines; times in seconds since its start. Raises BadInput if the lines have no run."""
    ordered = sorted(lines, key=lambda line: (line.t, ORDER.index(type(line)), line.w, getattr(line, "r", "")))
    if not (zero := next((line for line in ordered if isinstance(line, Zero)), None)):
        raise BadInput("vLLM recording", "without a client", "a folder with the lines of one run and its client")
    if not any(isinstance(line, Up) for line in ordered):
        raise BadInput("vLLM recording", "without an engine", "a folder with the lines of a vLLM with the plugin")
    return _Translator(ordered, zero.t0).translation(recorded_at)


class _Translator:
    def __init__(self, ordered: list[Raw], zero: float) -> None:
        self._lines, self._zero = ordered, zero
        self._engines = {line.w: line for line in ordered if isinstance(line, Up)}
        self._asked = {line.r: line for line in ordered if isinstance(line, Asked) and line.t >= zero}
        self._texts = {(line.r, line.i): line.text for line in ordered if isinstance(line, AnswerPiece)}
        producers = [name for name, up in self._engines.items() if up.role == PRODUCER]
        self._split = 0 < len(producers) < len(self._engines)
        self._producers = frozenset(producers if self._split else ())
        self._kind: Kind = "disaggregated" if self._split else "chunked" if self._cuts_prompts() else "colocated"
        # where each request was prefilled, decoded, and how many of its sampled tokens count
        self._began_at = self._first(lambda line: isinstance(line, Queued) and self._prefills(line.w))
        self._decoded_at = self._first(lambda line: isinstance(line, Accepted))
        self._counted = {
            self._of(line): line.made for line in ordered if isinstance(line, Ended) and self._answers(line.w)
        }
        self._offered_at = {line.r: line.w for line in ordered if isinstance(line, Offered)}
        # what has happened so far
        self._events: list[Event] = []
        self._running: dict[tuple[str, int], Scheduled] = {}
        self._step_ended_s: dict[str, float] = {}
        self._made: dict[str, int] = {}
        self._tray_ends = self._last_landings()
        self._moved: dict[str, list[Landed]] = {}
        self._ended: set[str] = set()

    def translation(self, recorded_at: str) -> Translation:
        first = next(iter(self._engines.values()))
        self._say(Watched(0.0, "vLLM", first.vllm, first.connector or "", MOMENTS))
        self._say(Deployed(0.0, self._kind, tuple((name, self._policy(name)) for name in self._engines), TRANSPORT))
        for name, up in self._engines.items():
            self._say(WorkerUp(0.0, name, up.pid, up.blocks))
        seen: set[str] = set()
        for line in self._lines:
            if isinstance(line, Queued):
                seen.add(self._of(line))
            if line.t >= self._zero and not isinstance(line, Zero | Up):
                self._read(line, line.t - self._zero)
        return Translation(
            Log(self._scenario(), in_order(self._events), f"vLLM {first.vllm}", recorded_at),
            unasked=len(seen - self._asked.keys()),
            dropped=sum(line.lines for line in self._lines if isinstance(line, LinesDropped)),
            misses=tuple(sorted({_miss(line) for line in self._lines if isinstance(line, Missing | HookBroke)})),
        )

    # ---- what is known from all lines

    def _cuts_prompts(self) -> bool:
        longest = max((asked.prompt for asked in self._asked.values()), default=0)
        return any(0 < up.chunk < longest for up in self._engines.values())

    def _prefills(self, engine: str) -> bool:
        return not self._split or engine in self._producers

    def _answers(self, engine: str) -> bool:
        return engine in self._engines and engine not in self._producers

    def _policy(self, engine: str) -> str:
        if self._split:
            return "prefill_only" if engine in self._producers else "decode_only"
        return "chunked" if self._kind == "chunked" else "prefill_first"

    def _first(self, wanted: Callable[[Raw], bool]) -> dict[str, str]:
        """For each request, the first engine with such a line about it."""
        found: dict[str, str] = {}
        for line in self._lines:
            if wanted(line):
                found.setdefault(self._of(line), line.w)
        return found

    def _last_landings(self) -> dict[str, float]:
        """For each request, when the last of its ranks' transfers ended."""
        return {self._of(line): line.t for line in self._lines if isinstance(line, Landed)}

    def _of(self, line: Raw) -> str:
        return client_name(getattr(line, "r", ""))

    def _scenario(self) -> Scenario:
        prompts = [asked.prompt for asked in self._asked.values()]
        most = [asked.most for asked in self._asked.values()]
        deployment = Deployment(
            self._kind,
            workers=len(self._engines),
            prefill_workers=max(1, len(self._producers)),
            chunk=min((up.chunk for up in self._engines.values() if up.chunk), default=256),
            transport=TRANSPORT,
            first_token="decode",
        )
        return Scenario(
            deployment,
            workload=Workload(
                requests=max(1, len(prompts)),
                prompt_tokens=round(median(prompts)) if prompts else 1,
                output_tokens=round(median(most)) if most else 1,
            ),
        )

    # ---- line by line

    def _say(self, *events: Event) -> None:
        self._events += events

    def _read(self, line: Raw, t: float) -> None:
        request = self._of(line)
        match line:
            case Scheduled():
                self._running[line.w, line.n] = line
            case Computed():
                self._step(line, t)
            case AnswerPiece() | Queued() | Missing() | HookBroke() | LinesDropped():
                pass
            case _ if request not in self._asked or request in self._ended:
                self._free_late(line, t, request)
            case Asked():
                self._say(Arrived(t, request, line.prompt, line.most, line.text))
                self._say(Dispatched(t, request, self._began_at.get(request, next(iter(self._engines)))))
            case Preempted():
                self._say(Recalled(t, request, "preempted: no KV blocks"), Dispatched(t, request, line.w))
            case Freed():
                self._free(line, t, request)
            case Ended() if self._answers(line.w):
                self._finish(t, request, REASONS.get(line.reason, "failed"), f"vLLM ended it: {line.reason}")
            case Unanswered():
                self._finish(t, request, "failed", line.why or "no answer")
            case _:
                self._tray(line, t, request)

    def _step(self, done: Computed, t: float) -> None:
        step = self._running.pop((done.w, done.n), None)
        up = self._engines.get(done.w)
        if step is None or up is None:
            return
        began_s = max(step.t - self._zero, self._step_ended_s.get(done.w, 0.0))
        self._step_ended_s[done.w] = t
        plan: Plan = tuple(
            Slice(client_name(request), start, tokens)
            for request, start, tokens in step.plan
            if client_name(request) in self._asked
        )
        if not plan:  # only other clients' requests
            return
        used = min(step.used, up.blocks)
        self._say(StepStarted(began_s, done.w, plan, step.waiting, used, up.blocks), StepEnded(t, done.w))
        if self._answers(done.w):
            for request, ids in done.tokens.items():
                self._tokens(t, done.w, client_name(request), ids)

    def _tokens(self, t: float, engine: str, request: str, ids: list[int]) -> None:
        """Speculative decoding may sample beyond the end of an answer; tokens that vLLM does not count are left out."""
        if request not in self._asked or request in self._ended:
            return
        for token in ids:
            index = self._made.get(request, 0)
            if index < self._counted.get(request, index + 1):
                self._made[request] = index + 1
                self._say(TokenMade(t, engine, request, index, token, self._texts.get((request, index), "")))

    def _tray(self, line: Raw, t: float, request: str) -> None:
        source = self._began_at.get(request, "")
        target = self._decoded_at.get(request, "")
        match line:
            case Offered() if target:
                nbytes = line.blocks * self._engines[line.w].block_bytes
                self._say(HandoffOffered(t, request, line.w, target, nbytes))
            case Accepted():
                self._say(HandoffAccepted(t, request, self._offered_at.get(line.params_from or "", source), line.w))
            case Landed():
                self._moved.setdefault(request, []).append(line)
                if line.t == self._tray_ends[request]:
                    self._landed(self._moved.pop(request), t, request, source)

    def _landed(self, ranks: list[Landed], t: float, request: str, source: str) -> None:
        """All ranks' transfers have ended. If one failed, vLLM computes the prompt again, or ends the request."""
        began_s = min(rank.t0 for rank in ranks) - self._zero
        nbytes, target = sum(rank.bytes or 0 for rank in ranks), ranks[-1].w
        self._say(HandoffStarted(began_s, request, source, target, nbytes, TRANSPORT, None))
        if not all(rank.ok for rank in ranks):
            self._say(Recalled(t, request, "its KV did not arrive"), Dispatched(t, request, target))
            return
        seconds = t - began_s
        rate = nbytes / seconds if seconds else 0.0
        self._say(HandoffEnded(t, request, source, target, nbytes, seconds, rate, None, None))

    def _finish(self, t: float, request: str, reason: str, why: str) -> None:
        if reason == "failed":
            self._say(Failed(t, request, why))
        self._say(Finished(t, request, reason, self._made.get(request, 0)))
        self._ended.add(request)

    def _free(self, line: Freed, t: float, request: str) -> None:
        up = self._engines[line.w]
        self._say(BlocksFreed(t, line.w, request, min(line.used, up.blocks), up.blocks))

    def _free_late(self, line: Raw, t: float, request: str) -> None:
        """Blocks may also be freed after an answer has ended."""
        if isinstance(line, Freed) and request in self._ended:
            self._free(line, t, request)


def _miss(line: Missing | HookBroke) -> str:
    return f"no {line.what} in this vLLM" if isinstance(line, Missing) else f"hook {line.hook} broke: {line.why}"
