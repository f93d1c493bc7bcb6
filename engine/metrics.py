"""Numbers from a log, as vLLM defines them.

TTFT  arrival -> first token              ITL  each gap between two consecutive tokens of a request
E2E   arrival -> last token               TPOT (E2E - TTFT) / (output tokens - 1), per request

A request that failed is listed, and enters none of these: engine/failures.py.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from engine.events import (
    UNSEEN,
    Arrived,
    Event,
    Finished,
    HandoffEnded,
    StepEnded,
    StepStarted,
    TokenMade,
    WorkerDown,
)
from engine.failures import FAILED


class Spread(msgspec.Struct, frozen=True):
    """A distribution in five numbers; all zero if there is no sample. Percentiles interpolate linearly (as numpy's)."""

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    mean: float = 0.0
    max: float = 0.0

    @classmethod
    def of(cls, samples: Iterable[float]) -> "Spread":
        """The spread of the samples; all zeros if there are none."""
        ordered = sorted(samples)
        if not ordered:
            return cls()
        p50, p90, p99 = (_percentile(ordered, share) for share in (0.5, 0.9, 0.99))
        return cls(p50, p90, p99, sum(ordered) / len(ordered), ordered[-1])


class RequestResult(msgspec.Struct, frozen=True):
    """One request's answer and its times in seconds; None or empty where it made no token."""

    id: str
    prompt_tokens: int
    output_tokens: int
    output_ids: tuple[int, ...]
    text: str
    ttft_s: float | None
    itl_s: tuple[float, ...]
    e2e_s: float | None
    finished: str


class HandoffResult(msgspec.Struct, frozen=True):
    """One handoff as measured. `verified` None: its checksums were not compared."""

    request: str
    bytes: int
    seconds: float
    bytes_per_s: float
    verified: bool | None


class Metrics(msgspec.Struct, frozen=True):
    """`output_tokens_per_s`: the tokens of all requests but those that failed, over the time from the first arrival to
    the last token; the same wherever tokens/s are shown. `max_stall_s`: the longest any running request waited for its
    next token, one that failed later too. `busy`: share of time, by worker.
    """

    ttft_s: Spread
    itl_s: Spread
    tpot_s: Spread
    e2e_s: Spread
    output_tokens_per_s: float
    max_stall_s: float
    busy: dict[str, float]


class Summary(msgspec.Struct, frozen=True):
    """A log's requests in order of arrival, its metrics, and its handoffs."""

    requests: tuple[RequestResult, ...]
    metrics: Metrics
    handoffs: tuple[HandoffResult, ...]


def summarize(events: Sequence[Event]) -> Summary:
    """Fold a log (events in order of time) into its numbers. Requests stand in order of arrival."""
    arrived = {event.request: event for event in events if isinstance(event, Arrived)}
    tokens: dict[str, list[TokenMade]] = {request: [] for request in arrived}
    finished: dict[str, Finished] = {}
    for event in events:
        if isinstance(event, TokenMade):
            tokens[event.request].append(event)
        elif isinstance(event, Finished):
            finished[event.request] = event
    requests = tuple(_result(event, tokens[name], finished.get(name)) for name, event in arrived.items())
    handoffs = tuple(
        HandoffResult(e.request, e.nbytes, e.seconds, e.bytes_per_s, e.verified)
        for e in events
        if isinstance(e, HandoffEnded)
    )
    return Summary(requests, _metrics(requests, events), handoffs)


def _result(arrived: Arrived, tokens: list[TokenMade], finished: Finished | None) -> RequestResult:
    times = [token.t for token in tokens]
    return RequestResult(
        id=arrived.request,
        prompt_tokens=arrived.prompt_tokens,
        output_tokens=len(tokens),
        output_ids=tuple(token.token for token in tokens if token.token != UNSEEN),
        text="".join(token.text for token in tokens),
        ttft_s=times[0] - arrived.t if times else None,
        itl_s=tuple(later - earlier for earlier, later in pairwise(times)),
        e2e_s=times[-1] - arrived.t if times else None,
        finished=finished.reason if finished else "",
    )


def _metrics(requests: Sequence[RequestResult], events: Sequence[Event]) -> Metrics:
    longest_s = max((gap for request in requests for gap in request.itl_s), default=0.0)
    requests = [request for request in requests if request.finished != FAILED]
    gaps = [gap for request in requests for gap in request.itl_s]
    span = _span(events)
    return Metrics(
        ttft_s=Spread.of(r.ttft_s for r in requests if r.ttft_s is not None),
        itl_s=Spread.of(gaps),
        tpot_s=Spread.of(sum(r.itl_s) / len(r.itl_s) for r in requests if r.itl_s),
        e2e_s=Spread.of(r.e2e_s for r in requests if r.e2e_s is not None),
        output_tokens_per_s=sum(r.output_tokens for r in requests) / span if span else 0.0,
        max_stall_s=longest_s,
        busy={worker: seconds / span for worker, seconds in busy_s(events).items()} if span else {},
    )


def _span(events: Sequence[Event]) -> float:
    """From the first arrival to the last token."""
    first = next((e.t for e in events if isinstance(e, Arrived)), 0.0)
    last = max((e.t for e in events if isinstance(e, TokenMade)), default=first)
    return last - first


def busy_s(events: Sequence[Event]) -> dict[str, float]:
    """Seconds each worker spent in steps."""
    begun: dict[str, float] = {}
    busy: dict[str, float] = {}
    for event in events:
        if isinstance(event, StepStarted):
            begun[event.worker] = event.t
        elif isinstance(event, StepEnded | WorkerDown) and event.worker in begun:
            busy[event.worker] = busy.get(event.worker, 0.0) + event.t - begun.pop(event.worker)
    return busy


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
