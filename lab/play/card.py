"""A card to share: where a round lies, and what decided it. One SVG of the size that pages preview links with."""

from collections.abc import Iterator
from html import escape

from engine.stall import in_seconds
from engine.units import amount
from lab.play.frontier_html import Mark, place
from lab.play.game import Play
from lab.play.moment import moment
from lab.play.score import Score
from lab.play.standing import TWICE, Standing, standing
from lab.play.words import STALL, TTFT
from lab.ui.axes import span
from lab.ui.formatting import ticks

WIDTH, HEIGHT = 1200, 630
LEFT, RIGHT, TOP, BOTTOM = 110, 800, 210, 520
STYLE = """
text { font-family: "Source Sans 3", "Source Sans Pro", system-ui, sans-serif; fill: #1f2328; font-size: 21px; }
.says { font-weight: 700; } .soft { fill: #4d555f; } .axis { font-size: 17px; fill: #4d555f; }
.mid { text-anchor: middle; } .end { text-anchor: end; }
.grid { stroke: #d9d4ca; } .best { fill: none; stroke: #1a8f74; stroke-width: 3; }
"""


def card(played: Play, address: str) -> str:
    """Of a round that is over. `address`: where the same orders can be played."""
    stands = standing(played, look_for_par=True)
    says = moment(played, "best").says
    title = escape(f"{stands.headline} {says}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img"><title>{title}</title><style>{STYLE}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f"{''.join(_drawn(played, stands, says, address))}</svg>"
    )


def _drawn(played: Play, stands: Standing, says: str, address: str) -> Iterator[str]:
    level, seed = played.puzzle.level, played.puzzle.seed
    yield f'<text class="soft" x="50" y="62">Be the cook: {level.title.lower()}, {level.orders} orders</text>'
    size = min(44, int((WIDTH - 100) / (0.56 * len(stands.headline))))
    yield f'<text class="says" style="font-size:{size}px" x="50" y="112">{escape(stands.headline)}</text>'
    yield f'<text x="50" y="154">{escape(says)}</text>'
    yield from _plot(stands)
    for n, mark in enumerate(stands.marks):
        yield from _legend(mark, 236 + 56 * n)
    what = f"Split Kitchen, level {level.number}, orders number {seed}. Simulated."
    for n, words in enumerate((what, played.puzzle.pace.says, f"The same orders: {address}")):
        yield f'<text class="axis" x="50" y="{HEIGHT - 60 + 22 * n}">{escape(words)}</text>'


def _plot(stands: Standing) -> Iterator[str]:
    every = [mark.score for mark in stands.marks] + list(stands.best)
    across, up = span([s.ttft_s for s in every], log=True), span([max(s.stall_s, 1e-3) for s in every], log=True)

    def at(one: Score) -> tuple[float, float]:
        x, y = place(one.ttft_s, across), place(max(one.stall_s, 1e-3), up)
        return round(LEFT + (RIGHT - LEFT) * x / 100, 1), round(BOTTOM - (BOTTOM - TOP) * y / 100, 1)

    yield f'<text class="axis" x="50" y="{TOP - 14}">{STALL}, s</text>'
    for value in ticks(*up):
        y = BOTTOM - (BOTTOM - TOP) * place(value, up) / 100
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield f'<text class="axis end" x="{LEFT - 10}" y="{y + 6:.1f}">{amount(value)}</text>'
    for value in ticks(*across):
        x = LEFT + (RIGHT - LEFT) * place(value, across) / 100
        yield f'<text class="axis mid" x="{x:.1f}" y="{BOTTOM + 24}">{amount(value)}</text>'
    yield f'<text class="axis end" x="{RIGHT}" y="{BOTTOM + 50}">{TTFT}, s</text>'
    points = [at(one) for one in stands.best]
    way = "".join(f"V{y}H{after}" for (_, y), (after, _) in zip(points, [*points[1:], (RIGHT, 0)], strict=True))
    yield f'<path class="best" d="M{points[0][0]} {TOP}{way}"/>'
    for mark in reversed(stands.marks):
        yield _shape(mark, *at(mark.score))


def _shape(mark: Mark, x: float, y: float) -> str:
    match mark.shape:
        case "ring":
            return f'<circle cx="{x}" cy="{y}" r="11" fill="#fff" stroke="#1f2328" stroke-width="7"/>'
        case "circle":
            return f'<circle cx="{x}" cy="{y}" r="9" fill="{mark.colour}"/>'
        case "diamond":
            return f'<path d="M{x} {y - 11}l11 11l-11 11l-11 -11z" fill="{mark.colour}"/>'
        case "up":
            return f'<path d="M{x} {y - 10}l11 19h-22z" fill="{mark.colour}"/>'
        case _:
            return f'<rect x="{x - 8}" y="{y - 8}" width="16" height="16" fill="{mark.colour}"/>'


def _legend(mark: Mark, y: int) -> Iterator[str]:
    called = mark.name.removesuffix(TWICE)
    name, _, kind = called.removesuffix(")").partition(" (")
    more = ", two stations" if called != mark.name else f", {kind}" if kind else ""
    yield _shape(mark, RIGHT + 50, y - 7)
    yield f'<text class="{"says" if mark.shape == "ring" else ""}" x="{RIGHT + 74}" y="{y}">{escape(name)}</text>'
    took = f"{in_seconds(mark.score.ttft_s)}, {in_seconds(mark.score.stall_s)}{more}"
    yield f'<text class="axis" x="{RIGHT + 74}" y="{y + 24}">{took}</text>'
