"""A record's metrics without expanding its leaps: the same numbers from a hundredth of the events.

Every gap between tokens counts, so the distribution of ITL is exact: a gap that several requests of a leap share is
kept once, with a count.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from engine.events import Arrived, Finished, StepEnded, StepStarted, TokenMade
from engine.metrics import Metrics, Spread
from engine.sim.clock import PS_PER_S
from engine.sim.ends import Ends, Rising, Uneven
from engine.sim.leap import Happening, Leapt

Floats = np.ndarray[Any, np.dtype[np.float64]]
E = TypeVar("E", Rising, Uneven)


class Served(msgspec.Struct, gc=False):  # values only
    """One request's times, in seconds since the start of the run. Has what `engine.goodput` needs of a request."""

    id: str
    prompt_tokens: int
    arrived_s: float
    first_s: float = 0.0
    last_s: float = 0.0
    output_tokens: int = 0
    finished: str = ""

    @property
    def ttft_s(self) -> float | None:
        return self.first_s - self.arrived_s if self.output_tokens else None

    @property
    def e2e_s(self) -> float | None:
        return self.last_s - self.arrived_s if self.output_tokens else None


class Tally(msgspec.Struct, frozen=True):
    """A run's requests, in order of arrival, and its metrics."""

    requests: list[Served]
    metrics: Metrics


class Gaps:
    """Lengths of gaps in seconds, with how often each occurred."""

    def __init__(self) -> None:
        self._lengths: list[float] = []
        self._counts: list[int] = []  # how often each of them occurred
        self._runs: list[Ends] = []  # whose steps but the first each end a gap
        self._rows: list[int] = []  # for so many requests at once

    def add(self, length: float, count: int = 1) -> None:
        self._lengths.append(length)
        self._counts.append(count)

    def add_run(self, ends: Ends, rows: int) -> None:
        self._runs.append(ends)
        self._rows.append(rows)

    def _all(self) -> tuple[Floats, Floats]:
        """Every length, shortest first, and how often it occurred."""
        lengths = [np.array(self._lengths, np.float64)]
        counts = [np.array(self._counts, np.float64)]
        if rising := self._of(Rising):
            first = np.array([run.first for run, _ in rising])
            grows = np.array([run.grows for run, _ in rising])
            several = np.array([run.steps - 1 for run, _ in rising])
            rows = np.array([times for _, times in rising])
            later = np.arange(1, several.sum() + 1) - np.repeat(several.cumsum() - several, several)
            lengths.append((np.repeat(first, several) + np.repeat(grows, several) * later) / PS_PER_S)
            counts.append(np.repeat(rows, several))
        for run, times in self._of(Uneven):
            lengths.append(np.diff(run.ends) / PS_PER_S)
            counts.append(np.full(run.steps - 1, times))
        together, often = np.concatenate(lengths), np.concatenate(counts)
        order = np.argsort(together)
        return together[order], often[order]

    def _of(self, kind: type[E]) -> list[tuple[E, int]]:
        return [(run, rows) for run, rows in zip(self._runs, self._rows, strict=True) if isinstance(run, kind)]

    def spread(self) -> Spread:
        """The same as `Spread.of` a list that has every gap as often as it occurred."""
        lengths, counts = self._all()
        if not len(lengths):
            return Spread()
        until = np.cumsum(counts)
        total = int(until[-1])

        def percentile(share: float) -> float:
            place = share * (total - 1)
            low = int(place)
            at, after = (lengths[np.searchsorted(until, n, side="right")] for n in (low, min(low + 1, total - 1)))
            return float(at + (after - at) * (place - low))

        p50, p90, p99 = (percentile(share) for share in (0.5, 0.9, 0.99))
        mean = float((lengths * counts).sum() / total)
        return Spread(p50, p90, p99, mean, float(lengths[-1]))


class Counter:
    """Folds a record as it is written, so that a large run does not have to be kept."""

    def __init__(self) -> None:
        self._served: dict[str, Served] = {}
        self._gaps = Gaps()
        self._begun: dict[str, float] = {}
        self._busy: defaultdict[str, float] = defaultdict(float)
        self._leapt_ps: defaultdict[str, int] = defaultdict(int)  # time spent in leaps
        self._decodes_at: dict[str, str] = {}  # of a request whose last tokens came in leaps, its worker
        self._leapt_s: dict[str, float] = {}  # when the last leap of each worker ended
        self._folds: dict[type, Callable[[Any], None]] = {
            Leapt: self._leapt,
            StepStarted: self._step_started,
            StepEnded: self._step_ended,
            TokenMade: self._token,
            Arrived: self._arrived,
            Finished: self._finished,
        }

    def add(self, event: Happening) -> None:
        if fold := self._folds.get(type(event)):
            fold(event)

    def tally(self) -> Tally:
        requests = list(self._served.values())
        for worker, spent_ps in self._leapt_ps.items():
            self._busy[worker] += spent_ps / PS_PER_S
        self._leapt_ps.clear()
        return Tally(requests, _metrics(requests, self._gaps, self._busy))

    def _arrived(self, event: Arrived) -> None:
        self._served[event.request] = Served(event.request, event.prompt_tokens, event.t)

    def _finished(self, event: Finished) -> None:
        request = self._served[event.request]
        request.finished = event.reason
        self._settle(request)
        if request.output_tokens:
            request.output_tokens = event.output_tokens

    def _settle(self, request: Served) -> None:
        """Up to the last token of its worker's last leap."""
        if worker := self._decodes_at.pop(request.id, ""):
            request.last_s = self._leapt_s[worker]

    def _step_started(self, event: StepStarted) -> None:
        self._begun[event.worker] = event.t

    def _step_ended(self, event: StepEnded) -> None:
        self._busy[event.worker] = self._busy[event.worker] + event.t - self._begun[event.worker]

    def _token(self, event: TokenMade) -> None:
        request = self._served[event.request]
        self._settle(request)
        if request.output_tokens:
            self._gaps.add(event.t - request.last_s)
            request.output_tokens += 1
        else:
            self._first_token(request, event.t)
        request.last_s = event.t

    def _first_token(self, request: Served, t: float) -> None:
        request.first_s = t
        request.output_tokens = 1

    def _leapt(self, leap: Leapt) -> None:
        """All that a worker decodes gets a token in each of its steps, so only who is new to its batch is looked at.
        Whoever is stands at its end."""
        worker, ends, jobs = leap.worker, leap.ends, leap.batch.jobs
        self._leapt_ps[worker] += ends.lasts
        if not jobs:
            return
        decodes_at, gaps = self._decodes_at, self._gaps
        first_s = ends.first_s
        known = len(jobs)
        while known and decodes_at.get(name := jobs[known - 1].request.id) != worker:
            known -= 1
            request = self._served[name]
            self._settle(request)
            if request.output_tokens:
                gaps.add(first_s - request.last_s)
            else:
                self._first_token(request, first_s)  # how many it has in the end is said then
            decodes_at[name] = worker
        if known:
            gaps.add(first_s - self._leapt_s[worker], known)
        if ends.steps > 1:
            gaps.add_run(ends, len(jobs))
        self._leapt_s[worker] = leap.t


def tally(record: Iterable[Happening]) -> Tally:
    """Fold a record into its requests and metrics."""
    counter = Counter()
    for event in record:
        counter.add(event)
    return counter.tally()


def _metrics(requests: Sequence[Served], gaps: Gaps, busy: dict[str, float]) -> Metrics:
    made = [request for request in requests if request.output_tokens]
    span_s = max((r.last_s for r in made), default=0.0) - requests[0].arrived_s if requests else 0.0
    several = [r for r in made if r.output_tokens > 1]
    itl_s = gaps.spread()
    return Metrics(
        ttft_s=Spread.of(r.first_s - r.arrived_s for r in made),
        itl_s=itl_s,
        tpot_s=Spread.of((r.last_s - r.first_s) / (r.output_tokens - 1) for r in several),
        e2e_s=Spread.of(r.last_s - r.arrived_s for r in made),
        output_tokens_per_s=sum(r.output_tokens for r in made) / span_s if span_s else 0.0,
        max_stall_s=itl_s.max,
        busy={worker: seconds / span_s for worker, seconds in busy.items()} if span_s else {},
    )
