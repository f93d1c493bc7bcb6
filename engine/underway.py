"""What a fold over events remembers of requests, workers and KV that are under way, to say later why an answer stood
still (engine/causes.py)."""

from dataclasses import dataclass, field

from engine.plan import Slice
from engine.stall import Stall, StallPart


@dataclass
class Tray:
    """A request's KV: when its sender offered it, and what became of it."""

    request: str
    source: str
    offered: float
    tokens: int
    accepted: float | None = None
    started: float | None = None
    landed: float | None = None
    nbytes: int = 0


@dataclass
class Step:
    """A step of a worker that has begun."""

    since: float
    plan: tuple[Slice, ...]
    pieces: list[Slice]  # of prompts


@dataclass
class Worker:
    """`prefills`: its steps with a prompt in them, in order. `due`: requests whose token its last step still owes.
    `running`: answers that any step of it could go on with,
    and since when."""

    prefills: list[tuple[Step, float]] = field(default_factory=list)  # and when they ended
    downs: list[StallPart] = field(default_factory=list)
    step: Step | None = None
    ended: float | None = None  # its last step,
    usual_s: float | None = None  # and what a gap usually was then
    due: set[str] = field(default_factory=set)
    running: dict[str, float] = field(default_factory=dict)
    group: list[Stall] = field(default_factory=list)


@dataclass
class Request:
    """What has become of it so far."""

    prompt_tokens: int = 0
    made: int = 0
    last: float | None = None  # its last token, or before the first the end of its prefill
    prefilled: bool = False  # in this life: a recalled one begins another
    trays: list[Tray] = field(default_factory=list)
    recalls: list[StallPart] = field(default_factory=list)  # since its last token
    left_out: list[StallPart] = field(default_factory=list)  # likewise: steps that could have made the next one


def crossing(tray: Tray) -> StallPart:
    """From its first byte to its last."""
    return StallPart(tray.request, tray.started or 0.0, tray.landed, tray.tokens, tray.nbytes, tray.source)


def prefills(at: Worker, name: str, worker: str, since: float, *, mixed: bool) -> list[StallPart]:
    """Of its steps that ended after `since`, those that worked on other prompts: a part for each piece."""
    parts: list[StallPart] = []
    for step, ended in reversed(at.prefills):
        if ended <= since:
            break
        if (len(step.pieces) < len(step.plan)) == mixed and all(piece.request != name for piece in step.pieces):
            parts += [StallPart(piece.request, step.since, ended, piece.tokens, worker=worker) for piece in step.pieces]
    return parts
