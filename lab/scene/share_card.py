"""A card to share: what happened in one or two runs, in one sentence each, over the seconds around it. One SVG."""

import html
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from engine import units
from engine.causes import causes
from engine.log import Log
from engine.metrics import summarize
from engine.stall import by_cause, in_seconds
from lab.scene.motions import motions
from lab.scene.stall_words import headline
from lab.scene.words import SERVING, kind_of, titles

WIDTH, HEIGHT = 1200, 630
LEFT, RIGHT = 160, 1150  # of the seconds
MOST_ROWS = 6
AROUND = 0.45  # of the longest stall, shown before and after it
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


def share_card(logs: Sequence[Log]) -> str:
    """Of the first two runs, by one measure of time; where they were made stands below."""
    logs = logs[:2]
    moments = [_Moment(log) for log in logs]
    span = max((moment.span for moment in moments), default=0.0)
    row, size = (46, 46) if len(logs) == 1 else (24, 32)
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for n, (title, moment) in enumerate(zip(titles(logs), moments, strict=True)):
        parts += moment.drawn(f"{title} ({SERVING[kind_of(moment.log)]})", 46 + 268 * n, span, row, size)
    parts.append(f'<text class="soft" x="50" y="{HEIGHT - 28}">{_escaped(_origin(logs[0]))}</text>')
    title = _escaped(" | ".join(moment.says for moment in moments))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img"><title>{title}</title><style>{STYLE}</style>{HATCH}{"".join(parts)}</svg>'
    )


def _origin(log: Log) -> str:
    model = log.scenario.model.path
    if not log.recorded_at:
        return f"Split Kitchen: {model}, {log.machine}"
    day = date.fromisoformat(log.recorded_at[:10])
    return f"Split Kitchen: a real run of {model} on {log.machine}, {day.day} {day:%B %Y}"


def _calm(log: Log) -> str:
    longest_s = summarize(log.events).metrics.max_stall_s
    return f"No answer stood still: no gap was longer than {in_seconds(longest_s)}"


class _Moment:
    """What is most worth telling of a run: whom its heaviest cause kept waiting; `span` seconds are needed for it."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.motions = motions(log.events)
        self.numbers = {m["request"]: str(m["number"]) for m in self.motions if m["kind"] == "order"}
        self.group = next(iter(by_cause(causes(log.events))), [])
        self.says = headline(self.group, self.numbers.__getitem__) if self.group else _calm(log)
        self.span, self.middle = 0.0, 0.0
        if self.group:
            self.worst = max(self.group, key=lambda stall: stall.seconds * len(stall.requests))
            near = [
                s for s in self.group if s.since - self.worst.until < AROUND and self.worst.since - s.until < AROUND
            ]
            begin, end = min(s.since for s in near), max(s.until for s in near)
            self.span, self.middle = (end - begin) * (1 + 2 * AROUND), (begin + end) / 2

    def drawn(self, above: str, top: int, span: float, row: int, size: int) -> list[str]:
        fits = min(size, int((WIDTH - 100) / (0.56 * len(self.says))))
        parts = [
            f'<text class="soft" x="50" y="{top}">{_escaped(above)}</text>',
            f'<text class="says" style="font-size:{fits}px" x="50" y="{top + size}">{_escaped(self.says)}</text>',
        ]
        return parts + (self._seconds(top + size + 24, span, row) if self.group else [])

    def _seconds(self, top: int, span: float, row: int) -> list[str]:
        """What was in prep or on the pass, and below it what each of the answers got."""
        begin = max(0.0, self.middle - span / 2)
        scale = _Scale(begin, begin + span, row - 5)
        by_tray = self.worst.cause.kind in ("tray", "tray-ahead")
        orders = sorted({order for stall in self.group for order in stall.requests}, key=lambda o: int(self.numbers[o]))
        orders = orders[:MOST_ROWS]
        below = top + row * (1 + len(orders))
        cause = self.worst.cause
        shadow = max(self.worst.since, cause.since), min(self.worst.until, cause.until)
        parts = [] if cause.kind == "none" else [scale.bar(*shadow, top, "shadow", "", below - top - 5)]
        parts.append(scale.name("the pass" if by_tray else "prep", top))
        for request, t0, t1, what in self._trays() if by_tray else self._preps():
            whose = f"{'tray' if by_tray else 'order'} {self.numbers[request]}"
            parts.append(scale.bar(t0, t1, top, "pass" if by_tray else "prep", f"{whose}: {what}"))
        for n, order in enumerate(orders, start=1):
            y = top + row * n
            made = [m["t"] for m in self.motions if m["kind"] == "token" and m["request"] == order]
            parts += [scale.name(self.numbers[order], y), scale.ticks(made, y)]
            for stall in self.group:
                if order in stall.requests:
                    lasted = f"no token for {in_seconds(stall.seconds)}"
                    parts.append(scale.bar(stall.since, stall.until, y, "still", lasted))
        return [*parts, *scale.axis(below + 18)]

    def _preps(self) -> list[tuple[str, float, float, str]]:
        """Steps of the worker with a prompt in them: the largest, when, how many tokens of it."""
        found = []
        for m in self.motions:
            if m["kind"] == "step" and m["worker"] == self.worst.worker and m["pieces"] and m["t1"] is not None:
                request, _, tokens = max(m["pieces"], key=lambda piece: piece[2])
                found.append((request, m["t0"], m["t1"], f"{tokens:,} tokens"))
        return found

    def _trays(self) -> list[tuple[str, float, float, str]]:
        """While their bytes crossed."""
        crossed = [m for m in self.motions if m["kind"] == "tray" and "started" in m and "seconds" in m]
        return [
            (m["request"], m["started"], m["started"] + m["seconds"], units.in_words(m["nbytes"], "B")) for m in crossed
        ]


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
