"""From the traces of NVIDIA Dynamo to a log: its workers' forward passes, and its requests' times.

Its forward-pass metrics (schema `dynamo.fpm.trace.v1`) have a line a pass, in sums: a pass does not name its requests.
Its request traces (`dynamo.request.trace.v1`) have a line a request. Which requests a pass held is concluded:

- Prompts are read in the order in which requests came, each pass going on where the one before it stopped.
- A request is in its decode worker's last passes before its end, one for each of its tokens after the first, and in
  the pass before these if the worker computed the last prompt position again.

A pass of which this is not true is counted, not hidden. Handoffs are in neither trace. Times are in whole ms.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.events import (
    UNSEEN,
    Arrived,
    Deployed,
    Dispatched,
    Event,
    Finished,
    StepEnded,
    StepStarted,
    TokenMade,
    Watched,
    WorkerUp,
)
from engine.log import Log, in_order
from engine.plan import Slice
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.vllm.translate import Translation

PASSES, REQUESTS = "dynamo.fpm.trace.v1", "dynamo.request.trace.v1"
MOMENTS = (
    "A pass and a request are known to the millisecond, on their hosts' clocks. Which requests a pass held is "
    "concluded from the order in which they came and from when they ended. Handoffs and blocks are not in its traces."
)


class _Held(msgspec.Struct, frozen=True):
    num_prefill_requests: int = 0
    sum_prefill_tokens: int = 0
    num_decode_requests: int = 0


class _Fpm(msgspec.Struct, frozen=True):
    worker_id: str
    wall_time: float
    dp_rank: int = 0
    scheduled_requests: _Held = _Held()
    queued_requests: _Held = _Held()


class Pass(msgspec.Struct, frozen=True):
    """One forward pass, which ended at `observed_at_unix_ms`."""

    observed_at_unix_ms: int
    fpm: _Fpm

    @property
    def worker(self) -> str:
        return f"{self.fpm.worker_id}/{self.fpm.dp_rank}"


class _Worker(msgspec.Struct, frozen=True):
    prefill_worker_id: int | str | None = None
    prefill_dp_rank: int | None = None
    decode_worker_id: int | str | None = None
    decode_dp_rank: int | None = None


class Served(msgspec.Struct, frozen=True):
    """One request that has ended. Times in ms: from its receipt, which is since 1970."""

    request_received_ms: int
    output_tokens: int
    ttft_ms: float
    total_time_ms: float
    input_tokens: int
    cached_tokens: int = 0
    worker: _Worker = _Worker()

    @property
    def prefilled_at(self) -> str:
        where = self.worker.prefill_worker_id
        return self.decoded_at if where is None else f"{where}/{self.worker.prefill_dp_rank or 0}"

    @property
    def decoded_at(self) -> str:
        return f"{self.worker.decode_worker_id}/{self.worker.decode_dp_rank or 0}"


def dynamo_line(line: bytes) -> Pass | Served | None:
    """What a line of either trace says; None for any other line, and for a request without times."""
    try:
        said = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    event: Any = said.get("event", said) if isinstance(said, dict) else None
    schema = event.get("schema") if isinstance(event, dict) else None
    try:
        if schema == PASSES:
            return msgspec.convert(event, Pass)
        if schema == REQUESTS and event.get("request"):
            return msgspec.convert(event["request"], Served)
    except msgspec.ValidationError:
        return None
    return None


def translate_dynamo(lines: Iterable[Pass | Served], recorded_at: str = "") -> Translation:
    """The run in the lines, in any order; times in seconds since the first request. Raises BadInput."""
    every = list(lines)
    served = sorted((line for line in every if isinstance(line, Served)), key=lambda one: one.request_received_ms)
    passes = sorted((line for line in every if isinstance(line, Pass)), key=lambda one: one.observed_at_unix_ms)
    passes = [one for one in passes if one.fpm.wall_time > 0]  # the others are signs of life
    if not served or not passes:
        lacks = "requests" if not served else "passes"
        raise BadInput("Dynamo traces", f"without {lacks}", "a folder with both traces (DYN_FPM_MODE=full)")
    return _Dynamo(served, passes).translation(recorded_at)


class _Dynamo:
    def __init__(self, served: Sequence[Served], passes: Sequence[Pass]) -> None:
        self._served = {f"r{number}": one for number, one in enumerate(served, start=1)}
        self._passes = passes
        self._zero_ms = served[0].request_received_ms
        decoding = {one.decoded_at for one in served}
        prefilling = {one.prefilled_at for one in served}
        self._split = not prefilling & decoding
        found = dict.fromkeys(one.worker for one in passes)
        roles = {worker: self._role(worker, prefilling) for worker in found}
        count: dict[str, int] = defaultdict(int)
        self._names: dict[str, str] = {}
        for worker, role in roles.items():
            self._names[worker] = f"{role}-{count[role]}"
            count[role] += 1
        self._plans: dict[int, list[Slice]] = defaultdict(list)  # by the pass's place in `passes`
        self._first_pass: dict[str, int] = {}  # in which a request's second token was made
        self._made: list[Event] = []
        self._short: list[str] = []  # requests that are left out

    def _role(self, worker: str, prefilling: set[str]) -> str:
        return "worker" if not self._split else "prefill" if worker in prefilling else "decode"

    def translation(self, recorded_at: str) -> Translation:
        self._deal_prompts()
        short = self._short = [name for name, one in self._served.items() if not self._decode(name, one)]
        self._compute_again()
        kind: Kind = "disaggregated" if self._split else "colocated"
        policies = {"prefill": "prefill_only", "decode": "decode_only", "worker": "chunked"}
        roles = tuple((name, policies[name.partition("-")[0]]) for name in self._names.values())
        events: list[Event] = [Watched(0.0, "Dynamo", "", "", MOMENTS), Deployed(0.0, kind, roles, "nixl")]
        events += [WorkerUp(0.0, name, 0, 0) for name in self._names.values()]
        unclear = sum(not self._agrees(number) for number in range(len(self._passes)))
        misses = [f"the passes of {', '.join(short)}: fewer than it has tokens"] if short else []
        misses += [f"which requests {unclear} of {len(self._passes)} passes held"] if unclear else []
        log = Log(self._scenario(kind), in_order([*events, *self._steps(), *self._made]), "Dynamo", recorded_at)
        return Translation(log, misses=tuple(misses))

    def _t(self, unix_ms: float) -> float:
        return (unix_ms - self._zero_ms) / 1000

    def _deal_prompts(self) -> None:
        """Give each prefill pass's tokens to the prompts that are not read yet, the oldest first."""
        read = {name: one.cached_tokens for name, one in self._served.items()}
        for number, one in enumerate(self._passes):
            left = one.fpm.scheduled_requests.sum_prefill_tokens
            for name, request in self._served.items():
                tokens = min(left, request.input_tokens - read[name])
                until_ms = request.request_received_ms + request.ttft_ms + 1  # its first token ends its prompt
                reads = request.request_received_ms < one.observed_at_unix_ms <= until_ms
                if tokens > 0 and reads and request.prefilled_at == one.worker:
                    self._plans[number].append(Slice(name, read[name], tokens))
                    read[name] += tokens
                    left -= tokens

    def _decode(self, name: str, one: Served) -> bool:
        """The request's facts, and its tokens at the ends of passes. False if there are too few of these."""
        received_s = self._t(one.request_received_ms)
        end_ms = one.request_received_ms + one.total_time_ms
        decodes = [
            (number, self._t(step.observed_at_unix_ms))
            for number, step in enumerate(self._passes)
            if step.worker == one.decoded_at
            and step.fpm.scheduled_requests.num_decode_requests
            and one.request_received_ms < step.observed_at_unix_ms <= end_ms + 1
        ]
        mine = decodes[len(decodes) - (one.output_tokens - 1) :] if one.output_tokens > 1 else []
        if len(decodes) < one.output_tokens - 1:
            return False
        first_s = min([received_s + one.ttft_ms / 1000, *(t for _, t in mine[:1])])
        last_s = max([self._t(end_ms), *(t for _, t in mine[-1:])])
        worker = self._names.get(one.decoded_at, "decode-0")
        self._made += [
            Arrived(received_s, name, one.input_tokens, one.output_tokens),
            Dispatched(received_s, name, self._names.get(one.prefilled_at, worker)),
            *(TokenMade(t, worker, name, i, UNSEEN) for i, t in enumerate([first_s, *(t for _, t in mine)])),
            Finished(last_s, name, "length", one.output_tokens),
        ]
        if mine:
            self._first_pass[name] = mine[0][0]
        for index, (number, _) in enumerate(mine):
            self._plans[number].append(Slice(name, one.input_tokens + index, 1))
        return True

    def _compute_again(self) -> None:
        """Where KV came from elsewhere, the decode worker may compute the last prompt position again, in one pass."""
        for name, first in self._first_pass.items() if self._split else ():
            one = self._served[name]
            before = [number for number in range(first) if self._passes[number].worker == one.decoded_at][-1:]
            for number in before:
                if len(self._plans[number]) < self._passes[number].fpm.scheduled_requests.num_decode_requests:
                    self._plans[number].append(Slice(name, one.input_tokens - 1, 1))

    def _agrees(self, number: int) -> bool:
        """Whether as many requests were concluded for the pass as it had."""
        held = self._passes[number].fpm.scheduled_requests
        return len(self._plans[number]) == held.num_prefill_requests + held.num_decode_requests

    def _steps(self) -> Iterator[Event]:
        ended_s: dict[str, float] = {}
        for number, one in enumerate(self._passes):
            name, end_s = self._names[one.worker], self._t(one.observed_at_unix_ms)
            began_s = max(end_s - one.fpm.wall_time, ended_s.get(name, end_s - one.fpm.wall_time))
            ended_s[name] = end_s
            if plan := tuple(piece for piece in self._plans[number] if piece.request not in self._short):
                yield StepStarted(began_s, name, plan, one.fpm.queued_requests.num_prefill_requests, 0, 0)
                yield StepEnded(end_s, name)

    def _scenario(self, kind: Kind) -> Scenario:
        workers = list(self._names.values())
        deployment = Deployment(
            kind,
            workers=len(workers),
            prefill_workers=max(1, sum(name.startswith("prefill") for name in workers)),
            transport="nixl",
            first_token="decode",
        )
        every = self._served.values()
        return Scenario(
            deployment,
            workload=Workload(
                requests=len(every),
                prompt_tokens=round(median(one.input_tokens for one in every)),
                output_tokens=round(median(one.output_tokens for one in every)),
            ),
        )
