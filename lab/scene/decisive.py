"""What is most worth telling of a run, on its own seconds: whom its heaviest cause kept waiting, and what was done in
the meantime. As values, which a card and a lesson draw.
"""

from collections.abc import Iterator, Sequence

import msgspec

from engine import units
from engine.causes import causes
from engine.log import Log
from engine.metrics import summarize
from engine.stall import Stall, by_cause, in_seconds
from lab.scene.motions import motions
from lab.scene.stall_words import headline
from lab.scene.stills import Hung, hung
from lab.scene.words import SERVING, kind_of, titles

MOST_ROWS = 6
AROUND = 0.45  # of the longest stall, shown before and after it


class Work(msgspec.Struct, frozen=True):
    """Something in prep or on the pass, from `since` to `until` seconds of the run."""

    since: float
    until: float
    whose: str
    what: str


class Waited(msgspec.Struct, frozen=True):
    """An order that stood still, and all of its `tokens`: when each was made. `stalls`: (since, until) pairs."""

    order: str
    tokens: tuple[float, ...]
    stalls: tuple[tuple[float, float], ...]


class Decisive(msgspec.Struct, frozen=True):
    """`title`: which run it is. `says`: what happened, in one sentence. The rest is empty where no answer stood still:
    the seconds to be shown (`begin`, `end`), where the work was done, what is to blame (`shadow`, from since to until),
    and the longest stall (`longest_s`, which begins at `last_token`), with what its stills are drawn from (`hung`)."""

    title: str
    says: str
    begin: float = 0.0
    end: float = 0.0
    where: str = ""
    work: tuple[Work, ...] = ()
    waited: tuple[Waited, ...] = ()
    shadow: tuple[float, float] | None = None
    last_token: float = 0.0
    longest_s: float = 0.0
    hung: Hung | None = None


def decisive(logs: Sequence[Log]) -> tuple[Decisive, ...]:
    """Of each run, all by one measure of time."""
    named = [f"{title} ({SERVING[kind_of(log)]})" for title, log in zip(titles(logs), logs, strict=True)]
    told = [_Told(log) for log in logs]
    span = max((one.span for one in told), default=0.0)
    return tuple(one.of(title, span) for title, one in zip(named, told, strict=True))


class _Told:
    """`span` seconds are needed for it."""

    def __init__(self, log: Log) -> None:
        self.motions = motions(log.events)
        self.numbers = {m["request"]: str(m["number"]) for m in self.motions if m["kind"] == "order"}
        self.group: Sequence[Stall] = next(iter(by_cause(causes(log.events))), [])
        self.says = headline(self.group, self.numbers.__getitem__) if self.group else _calm(log)
        self.span = self.middle = 0.0
        if self.group:
            self.worst = max(self.group, key=lambda stall: stall.seconds * len(stall.requests))
            near = [
                s for s in self.group if s.since - self.worst.until < AROUND and self.worst.since - s.until < AROUND
            ]
            begin, end = min(s.since for s in near), max(s.until for s in near)
            self.span, self.middle = (end - begin) * (1 + 2 * AROUND), (begin + end) / 2

    def of(self, title: str, span: float) -> Decisive:
        if not self.group:
            return Decisive(title, self.says)
        begin = max(0.0, self.middle - span / 2)
        end, cause = begin + span, self.worst.cause
        by_tray = cause.kind in ("tray", "tray-ahead")
        shadow = max(self.worst.since, cause.since), min(self.worst.until, cause.until)
        longest = max(self.group, key=lambda stall: stall.seconds)
        work = self._trays() if by_tray else self._preps()
        return Decisive(
            title,
            self.says,
            begin,
            end,
            "the pass" if by_tray else "prep",
            tuple(one for one in work if one.until > begin and one.since < end),
            tuple(self._waited(begin, end)),
            None if cause.kind == "none" else shadow,
            longest.since,
            longest.seconds,
            hung(longest, self.motions),
        )

    def _waited(self, begin: float, end: float) -> Iterator[Waited]:
        orders = {order for stall in self.group for order in stall.requests}
        for order in sorted(orders, key=lambda one: int(self.numbers[one]))[:MOST_ROWS]:
            made = (m["t"] for m in self.motions if m["kind"] == "token" and m["request"] == order)
            stalls = (
                (s.since, s.until) for s in self.group if order in s.requests and s.until > begin and s.since < end
            )
            yield Waited(self.numbers[order], tuple(t for t in made if begin < t < end), tuple(stalls))

    def _preps(self) -> Iterator[Work]:
        """Steps of the worker with a prompt in them: the largest, when, how many tokens of it."""
        for m in self.motions:
            if m["kind"] == "step" and m["worker"] == self.worst.worker and m["pieces"] and m["t1"] is not None:
                request, _, tokens = max(m["pieces"], key=lambda piece: piece[2])
                yield Work(m["t0"], m["t1"], f"order {self.numbers[request]}", f"{tokens:,} tokens")

    def _trays(self) -> Iterator[Work]:
        """While their bytes crossed."""
        for m in self.motions:
            if m["kind"] == "tray" and "started" in m and "seconds" in m:
                nbytes = units.in_words(m["nbytes"], "B")
                yield Work(m["started"], m["started"] + m["seconds"], f"tray {self.numbers[m['request']]}", nbytes)


def _calm(log: Log) -> str:
    longest_s = summarize(log.events).metrics.max_stall_s
    return f"No answer stood still: no gap was longer than {in_seconds(longest_s)}"
