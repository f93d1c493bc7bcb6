"""How good a round was, as two numbers that pull against each other, and what others reach with the same orders."""

from collections.abc import Sequence

import msgspec

from engine.causes import causes
from engine.events import Arrived, Event, Finished, TokenMade
from engine.metrics import summarize
from engine.stall import Stall, by_cause
from lab.play.game import Play

SAME_S = 5e-4  # closer than this, nobody is better,
SAME = 0.01  # nor by less than this share, which two digits do not show


class Score(msgspec.Struct, frozen=True):
    """Seconds. `ttft_s`: the mean over all orders. `stall_s`: the longest wait of an answer for its next token.

    `ends_s`: from the first arrival to the last token.
    """

    ttft_s: float
    worst_ttft_s: float
    stall_s: float
    ends_s: float

    def beats(self, other: "Score") -> bool:
        """Better in one of the two, and not worse in the other."""
        return sorted(self._gains(other)) in ([0, 1], [1, 1])

    def beats_in_both(self, other: "Score") -> bool:
        """Better in both."""
        return self._gains(other) == [1, 1]

    def is_like(self, other: "Score") -> bool:
        """The same in both."""
        return self._gains(other) == [0, 0]

    def _gains(self, other: "Score") -> list[int]:
        """In each of the two: 1 better, 0 the same, -1 worse."""
        both = ((self.ttft_s, other.ttft_s), (self.stall_s, other.stall_s))
        return [
            0 if abs(mine - theirs) <= max(SAME_S, SAME * max(mine, theirs)) else 1 if mine < theirs else -1
            for mine, theirs in both
        ]


def score(events: Sequence[Event]) -> Score:
    """Of a round or a run that is over."""
    metrics = summarize(events).metrics
    begun = min(event.t for event in events if isinstance(event, Arrived))
    ended = max(event.t for event in events if isinstance(event, TokenMade))
    return Score(metrics.ttft_s.mean, metrics.ttft_s.max, metrics.max_stall_s, ended - begun)


class SoFar(msgspec.Struct, frozen=True):
    """Of a round under way, the waits that are still going on included. None: no order has come, no token been made."""

    served: int
    ttft_s: float | None
    stall_s: float | None


def so_far(play: Play) -> SoFar:
    """At the moment of the decision."""
    came = {event.request: event.t for event in play.events if isinstance(event, Arrived)}
    over = {event.request for event in play.events if isinstance(event, Finished)}
    made: dict[str, list[float]] = {}
    for event in play.events:
        if isinstance(event, TokenMade):
            made.setdefault(event.request, []).append(event.t)
    waits = [(made[request][0] if request in made else play.t) - t for request, t in came.items()]
    gaps = [
        later - before
        for request, times in made.items()
        for before, later in zip(times, [*times[1:], *([] if request in over else [play.t])], strict=False)
    ]
    return SoFar(len(over), sum(waits) / len(waits) if waits else None, max(gaps, default=None))


def worst(play: Play) -> list[Stall]:
    """The stalls of the cause that cost most; none for a round in which nothing stood still."""
    groups = by_cause(causes(play.events))
    return groups[0] if groups else []
