"""Where a round lies: mean TTFT against the longest stall, the policies and the best that was found beside it."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from math import log10

import msgspec

from engine.stall import in_seconds
from engine.units import amount
from lab.play.score import Score
from lab.play.words import STALL, TTFT
from lab.ui.axes import span
from lab.ui.formatting import ticks

YOU, BEST = "currentColor", "#1a8f74"


class Mark(msgspec.Struct, frozen=True):
    """A point and its row in the table. `watch`: a policy to compare with, "best" or "better"; "" for the learner's."""

    name: str
    score: Score
    colour: str
    shape: str
    watch: str = ""


class Dot(msgspec.Struct, frozen=True):
    """A point that `many` of a class have reached. `names`: of those who offer theirs."""

    score: Score
    many: int = 1
    names: str = ""


def frontier_html(marks: Sequence[Mark], best: Sequence[Score], cloud: Sequence[Dot] = ()) -> str:
    """`best`: the line that nothing found is below, in order of TTFT; empty while it is searched."""
    drawn = "".join(_field(marks, best, cloud)) + "".join(_table(marks))
    return f'<div class="ch" role="group" aria-label="TTFT against the longest stall">{drawn}</div>'


def _field(marks: Sequence[Mark], best: Sequence[Score], cloud: Sequence[Dot]) -> Iterator[str]:
    every = [mark.score for mark in marks] + list(best) + [dot.score for dot in cloud]
    across = span([one.ttft_s for one in every], log=True)
    up = span([max(one.stall_s, 1e-3) for one in every], log=True)

    def x(one: Score) -> float:
        return place(one.ttft_s, across)

    def y(one: Score) -> float:
        return place(max(one.stall_s, 1e-3), up)

    yield f'<div class="ch-unit">{STALL}, s</div><div class="ch-plot"><div class="ch-down">'
    rows = ticks(*up)
    yield "".join(f'<span style="bottom:{place(at, up)}%">{amount(at)}</span>' for at in rows)
    yield '</div><div class="ch-field"><svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
    yield "".join(f'<path class="grid" d="M0 {100 - place(at, up):.2f}H100"/>' for at in rows)
    if best:
        steps = f"M{x(best[0])} 0" + "".join(f"V{100 - y(one):.2f}H{x(after)}" for one, after in pairwise(best))
        yield f'<path d="{steps}V{100 - y(best[-1]):.2f}H100" style="--colour:{BEST}"/>'
    yield '</svg><span class="play-better" aria-hidden="true">better ↙</span>'
    for one in best:
        yield f'<i class="ch-mark circle small" style="left:{x(one)}%;bottom:{y(one)}%;--colour:{BEST}"></i>'
    own = [mark for mark in marks if mark.shape == "ring"]
    yield from (_placed(mark, x(mark.score), y(mark.score)) for mark in reversed(marks) if mark not in own)
    for dot in sorted(cloud, key=lambda dot: -dot.many):
        at = f"left:{x(dot.score)}%;bottom:{y(dot.score)}%;--size:{_em(dot.many)}em"
        name = f"<span>{escape(dot.names)}</span>" if dot.names else ""
        yield f'<i class="ch-dots" style="{at}">{dot.many if dot.many > 1 else ""}{name}</i>'
    yield from (_placed(mark, x(mark.score), y(mark.score)) for mark in own)  # the learner's own lies on top
    yield '</div><span></span><div class="ch-axis" style="margin-right:0">'
    yield "".join(f'<span style="left:{place(at, across)}%">{amount(at)}</span>' for at in ticks(*across))
    yield f'</div><span></span><div class="ch-unit">{TTFT}, s</div></div>'


def _placed(mark: Mark, x: float, y: float) -> str:
    return f'<i class="ch-mark {mark.shape}" style="left:{x}%;bottom:{y}%;--colour:{mark.colour}"></i>'


def _em(many: int) -> float:
    """How wide a dot is: its area grows with how many it stands for, and their number fits in."""
    return 0.75 if many == 1 else round(1.3 + 0.12 * many**0.5, 2)


def place(value: float, ends: tuple[float, float]) -> float:
    """Where a value lies on a logarithmic axis, in percent."""
    low, high = ends
    return round(100 * log10(value / low) / log10(high / low), 2)


HEAD = ("", TTFT, STALL, "TTFT, worst", "all served after")


def _table(marks: Sequence[Mark]) -> Iterator[str]:
    head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
    yield '<div class="ch-wide" tabindex="0" role="group" aria-label="The same in numbers"><table class="ch-table">'
    yield f"<thead><tr>{head}</tr></thead><tbody>"
    for mark in marks:
        one = mark.score
        cells = "".join(f"<td>{in_seconds(s)}</td>" for s in (one.ttft_s, one.stall_s, one.worst_ttft_s, one.ends_s))
        look = f'<i class="ch-mark {mark.shape}" style="--colour:{mark.colour}"></i>'
        name = escape(mark.name)
        watch = (
            f'<button type="button" data-watch="{mark.watch}" aria-label="Watch: {name}">Watch</button>'
            if mark.watch
            else ""
        )
        yield f'<tr><th scope="row">{look}{name}{watch}</th>{cells}</tr>'
    yield "</tbody></table></div>"
