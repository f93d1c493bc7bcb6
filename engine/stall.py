"""A stall and its cause, as values and in sentences. `engine/causes.py` finds them in a log."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from engine import units
from engine.events import SERVER

CauseKind = Literal["prefill", "mixed", "tray", "tray-ahead", "room", "left-out", "recall", "none"]
Phase = Literal["first", "next"]


class Cause(msgspec.Struct, frozen=True):
    """`requests`: all that had a part in it, `request` the one with the largest; `tokens` and `nbytes` of all of them.

    From the begin of the first part (`since`, seconds of the run) to the end of the last; `share` of the stall.
    `worker` computed or sent it. `why`: of a recall. "left-out": `tokens` are those that the answer did not get.
    """

    kind: CauseKind
    request: str = ""
    requests: tuple[str, ...] = ()
    worker: str = ""
    tokens: int = 0
    nbytes: int = 0
    since: float = 0.0
    until: float = 0.0
    share: float = 0.0
    why: str = ""


class Stall(msgspec.Struct, frozen=True):
    """`requests` of `worker` that got no token until `until`, and the longest of them none since `since` (seconds)."""

    since: float
    until: float
    worker: str
    requests: tuple[str, ...]
    phase: Phase
    cause: Cause

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.until - self.since


def longest(stalls: Iterable[Stall], phase: Phase = "next") -> Stall | None:
    """Between tokens, or before the first; of equal ones the one with the most requests."""
    of_phase = (stall for stall in stalls if stall.phase == phase)
    return max(of_phase, key=lambda stall: (stall.seconds, len(stall.requests)), default=None)


def by_cause(stalls: Iterable[Stall]) -> list[list[Stall]]:
    """The stalls that one cause explains together, those in which answers stood still longest (summed up) first."""
    groups: dict[tuple[object, ...], list[Stall]] = {}
    for stall in stalls:
        cause = stall.cause
        kind = "tray" if cause.kind == "tray-ahead" else cause.kind
        alone = stall.until if cause.kind == "none" else 0.0
        groups.setdefault((kind, cause.request, cause.worker, alone), []).append(stall)
    return sorted(groups.values(), key=lambda group: -sum(s.seconds * len(s.requests) for s in group))


@dataclass
class StallPart:
    """A part of a cause: what `request` had to do with it from `since` to `until` (None: it still has)."""

    request: str
    since: float
    until: float | None = None
    tokens: int = 0
    nbytes: int = 0
    worker: str = ""
    why: str = ""

    def overlap_s(self, since: float, until: float) -> float:
        """How many seconds of the part lie between `since` and `until`."""
        end = until if self.until is None else min(self.until, until)
        return max(0.0, end - max(self.since, since))


def _begun(part: StallPart) -> float:
    return part.since


def overlapping(kind: CauseKind, parts: list[StallPart], since: float, until: float) -> Cause:
    """Of the parts that overlap the stall; its share is that of all together, as far as they do not overlap."""
    parts = [part for part in parts if part.overlap_s(since, until) > 0]
    if not parts or until <= since:
        return Cause(kind)
    covered, reached = 0.0, since
    for part in sorted(parts, key=_begun):
        covered += part.overlap_s(reached, until)
        reached = max(reached, until if part.until is None else min(part.until, until))
    largest = max(parts, key=lambda part: (part.overlap_s(since, until), part.tokens))
    return Cause(
        kind,
        largest.request,
        tuple(dict.fromkeys(part.request for part in sorted(parts, key=_begun) if part.request)),
        largest.worker,
        sum(part.tokens for part in parts),
        sum(part.nbytes for part in parts),
        min(part.since for part in parts),
        max(until if part.until is None else part.until for part in parts),
        covered / (until - since),
        largest.why,
    )


# ---- in words

Name = Callable[[str], str]


def number(request: str) -> str:
    """What a request is called: the engine's own are r1, r2 and so on."""
    return request[1:] if request[:1] == "r" and request[1:].isdigit() else request


def says(stall: Stall, name: Name = number) -> str:
    """For people, in serving terms: "1.8 s: requests 1, 2 and 3, while request 4's 1,024 tokens were prefilled."."""
    waited = " waited for the first token" if stall.phase == "first" else ""
    return f"{in_seconds(stall.seconds)}: {listed('request', stall.requests, name)}{waited}, {_because(stall, name)}."


def _because(stall: Stall, name: Name) -> str:
    cause, several = stall.cause, len(stall.requests) > 1
    size = units.in_words(cause.nbytes, "B")
    match cause.kind:
        case "prefill":
            return f"while {owned('request', cause.requests, f'{cause.tokens:,} tokens', name)} were prefilled"
        case "mixed":
            what = owned("request", cause.requests, f"{cause.tokens:,} tokens", name)
            return f"while {what} were prefilled in the same step"
        case "tray":
            return f"while its own {size} of KV cache crossed the link"
        case "tray-ahead":
            whose = owned("request", cause.requests, f"{size} of KV cache", name)
            return f"while {whose} filled the link ahead of {'them' if several else 'it'}"
        case "room":
            return f"until there was room for {'their' if several else 'its'} KV cache"
        case "left-out":
            return f"left out by the policy in {steps_of(cause)} of {cause.worker} with tokens for others"
        case "recall":
            return f"until {'they were' if several else 'it was'} prefilled once more, because of a fault: {cause.why}"
        case "none" if stall.worker == SERVER:
            return "and a client cannot see why"
        case "none":
            return "and nothing in this run's log says why"


def steps_of(cause: Cause) -> str:
    """In how many steps an answer was left out."""
    return "a step" if cause.tokens == 1 else f"{cause.tokens:,} steps"


def in_seconds(seconds: float) -> str:
    """As the scene and the tables write it: 12.4 s, 1.86 s, 0.55 s, 45 ms, 1.3 ms."""
    if seconds < 0.0995:
        return f"{seconds * 1e3:.{0 if seconds >= 0.00995 else 1}f} ms"
    return f"{seconds:.{2 if seconds < 9.95 else 1}f} s"


def listed(noun: str, requests: Sequence[str], name: Name = number) -> str:
    """ "request 4", "requests 4, 5 and 8"."""
    names = [name(request) for request in requests]
    if len(names) == 1:
        return f"{noun} {names[0]}"
    return f"{noun}s {', '.join(names[:-1])} and {names[-1]}" if names else f"no {noun}"


def owned(noun: str, requests: Sequence[str], what: str, name: Name = number) -> str:
    """ "request 4's 1,024 tokens", "the 2,048 tokens of requests 4 and 8"."""
    if len(requests) == 1:
        return f"{listed(noun, requests, name)}'s {what}"
    return f"the {what} of {listed(noun, requests, name)}"
