"""A card to share: what happened in one or two runs, in one sentence each, over the seconds around it. One SVG."""

import html
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from engine.failures import said_first
from engine.log import Log
from engine.stall import in_seconds
from lab.scene.decisive import Decisive, decisive

WIDTH, HEIGHT = 1200, 630
LEFT, RIGHT = 160, 1150  # of the seconds
STYLE = """
text { font-family: "Source Sans 3", "Source Sans Pro", system-ui, sans-serif; fill: #1f2328; font-size: 22px; }
.says { font-weight: 700; } .soft { fill: #4d555f; } .axis { font-size: 18px; fill: #4d555f; text-anchor: middle; }
.name { font-size: 20px; font-weight: 700; text-anchor: end; } .on { fill: #fff; font-size: 17px; font-weight: 700; }
.red { fill: #b3261e; font-size: 17px; font-weight: 700; text-anchor: middle; } .shadow { fill: #b3261e; opacity: .12; }
.prep { fill: #0072b2; } .pass { fill: #944a00; } .token { stroke: #00785a; stroke-width: 3; }
.still { fill: url(#still); stroke: #b3261e; }
"""
HATCH = (
    '<pattern id="still" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="8" height="8" fill="#f7d9d6"/><path d="M0 0V8" stroke="#b3261e" stroke-width="3"/></pattern>'
)


def share_card(logs: Sequence[Log], *, fluid: bool = False) -> str:
    """Of the first two runs, by one measure of time; where they were made stands below. `fluid`: as wide as the place
    where it is shown."""
    logs = logs[:2]
    row, size = (46, 46) if len(logs) == 1 else (24, 32)
    told = [_failing(one, log) for one, log in zip(decisive(logs), logs, strict=True)]
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for n, one in enumerate(told):
        parts += _drawn(one, 46 + 268 * n, row, size)
    parts.append(f'<text class="soft" x="50" y="{HEIGHT - 28}">{_escaped(_origin(logs[0]))}</text>')
    measures = "" if fluid else f'width="{WIDTH}" height="{HEIGHT}" '
    title = _escaped(" | ".join(one.says for one in told))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {measures}viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{title}</title><style>{STYLE}</style>{HATCH}{''.join(parts)}</svg>"
    )


def _failing(told: Decisive, log: Log) -> Decisive:
    """What failed is said before all else, in the few words that a card has room for."""
    failed = [sentence.partition(", the first because")[0] for sentence in said_first(log.events)]
    return replace(told, says=failed[0]) if failed else told


def _origin(log: Log) -> str:
    model = log.scenario.model.path
    if not log.recorded_at:
        return f"Split Kitchen: {model}, {log.machine}"
    day = datetime.fromisoformat(log.recorded_at)
    return f"Split Kitchen: a real run of {model} on {log.machine}, {day.day} {day:%B %Y}"


def _drawn(told: Decisive, top: int, row: int, size: int) -> list[str]:
    fits = min(size, int((WIDTH - 100) / (0.56 * len(told.says))))
    parts = [
        f'<text class="soft" x="50" y="{top}">{_escaped(told.title)}</text>',
        f'<text class="says" style="font-size:{fits}px" x="50" y="{top + size}">{_escaped(told.says)}</text>',
    ]
    return parts + (_seconds(told, top + size + 24, row) if told.waited else [])


def _seconds(told: Decisive, top: int, row: int) -> list[str]:
    """What was in prep or on the pass, and below it what each of the answers got."""
    scale = _Scale(told.begin, told.end, row - 5)
    below = top + row * (1 + len(told.waited))
    parts = [] if told.shadow is None else [scale.bar(*told.shadow, top, "shadow", "", below - top - 5)]
    parts.append(scale.name(told.where, top))
    kind = "pass" if told.where == "the pass" else "prep"
    parts += [scale.bar(one.since, one.until, top, kind, f"{one.whose}: {one.what}") for one in told.work]
    for n, one in enumerate(told.waited, start=1):
        y = top + row * n
        parts += [scale.name(one.order, y), scale.ticks(one.tokens, y)]
        for since, until in one.stalls:
            parts.append(scale.bar(since, until, y, "still", f"no token for {in_seconds(until - since)}"))
    return [*parts, *scale.axis(below + 18)]


class _Scale(NamedTuple):
    begin: float
    end: float
    height: int

    def x(self, t: float) -> float:
        t = min(max(t, self.begin), self.end)
        return round(LEFT + (RIGHT - LEFT) * (t - self.begin) / (self.end - self.begin), 1)

    def _line(self, y: int) -> float:
        return y + self.height / 2 + 6

    def name(self, text: str, y: int) -> str:
        return f'<text class="name" x="{LEFT - 14}" y="{self._line(y)}">{text}</text>'

    def ticks(self, times: Sequence[float], y: int) -> str:
        inside = "".join(f"M{self.x(t)} {y + 3}v{self.height - 6}" for t in times if self.begin < t < self.end)
        return f'<path class="token" d="{inside}"/>'

    def bar(self, t0: float, t1: float, y: int, kind: str, label: str, height: int = 0) -> str:
        """With its label inside, as far as there is room for it; nothing outside these seconds."""
        if t1 <= self.begin or t0 >= self.end:
            return ""
        left, right = self.x(t0), self.x(t1)
        width = max(2.0, right - left)
        bar = f'<rect class="{kind}" x="{left}" y="{y}" width="{width:.1f}" height="{height or self.height}" rx="3"/>'
        label = next((part for part in (label, label.rsplit(" for ", 1)[-1]) if len(part) * 9 + 16 <= width), "")
        if not label:
            return bar
        if kind != "still":
            return f'{bar}<text class="on" x="{left + 8}" y="{self._line(y)}">{label}</text>'
        middle, room = left + width / 2, len(label) * 9 + 6
        paper = f'<rect x="{middle - room / 2}" y="{y + 1}" width="{room}" height="{self.height - 2}" fill="#fff"/>'
        return f'{bar}{paper}<text class="red" x="{middle}" y="{self._line(y)}">{label}</text>'

    def axis(self, y: int) -> list[str]:
        step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if (self.end - self.begin) / s <= 8)
        ticks = [n * step for n in range(int(self.begin / step) + 1, int(self.end / step) + 1)]
        return [f'<text class="axis" x="{self.x(t)}" y="{y}">{t:g} s</text>' for t in ticks]


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
