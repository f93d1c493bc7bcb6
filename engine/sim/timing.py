"""How long the steps of one simulated worker last, in whole picoseconds."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.sim.clock import PS_PER_S, ps
from engine.sim.cost import Prefill, StepCost
from engine.sim.ends import Ends, ends, rising
from engine.sim.leap import Batch


class _Line(NamedTuple):
    """`engine.sim.cost.Line` in whole picoseconds, so that what steps take grows by exactly the same each time."""

    fixed: int
    token: int
    since: int


class Timing:
    """A cost, and the scatter around it. `taken`: steps so far, which is where in the scatter the next one is."""

    def __init__(
        self, cost: StepCost, scatter: Sequence[float], prefill_scatter: Sequence[float], taken: int = 0
    ) -> None:
        self.taken = taken
        self._cost = cost
        self._scatter = scatter
        self._prefill_scatter = prefill_scatter
        self._lines: dict[int, _Line | None] = {}  # of decode steps, by rows

    def ends(self, batch: Batch, steps: int, now: int) -> Ends:
        """When each of so many steps ends, of which the first begins now and computes this batch."""
        prefill: list[Prefill] = []
        rows, context = len(batch.jobs), batch.context
        for piece in batch.pieces:
            if piece.tokens > 1:
                prefill.append((piece.start, piece.tokens))
            else:  # costs what a decode row costs
                rows, context = rows + 1, context + piece.start + 1
        if not prefill and not self._scatter and (line := self._line(rows)):
            fixed, token, since = line
            if context >= since:
                return rising(now, fixed + context * token, rows * token, steps)
        if steps == 1:
            return rising(now, self._lasts(prefill, rows, context, 0), 0, 1)
        return ends(now, [self._lasts(prefill, rows, context, later) for later in range(steps)])

    def _lasts(self, prefill: list[Prefill], rows: int, context: int, later: int) -> int:
        """How long the step takes that is so many later."""
        scatter = self._prefill_scatter if prefill else self._scatter
        line = None if prefill else self._line(rows)
        context += later * rows
        if line and context >= line.since:
            lasts = line.fixed + context * line.token
        else:
            pieces = [(start + later * tokens, tokens) for start, tokens in prefill]
            lasts = ps(self._cost.step_s(pieces, rows, context))
        return int(lasts * scatter[(self.taken + later) % len(scatter)] + 0.5) or 1 if scatter else lasts

    def _line(self, rows: int) -> _Line | None:
        if rows not in self._lines:
            line = self._cost.line(rows)
            self._lines[rows] = line and _Line(ps(line.fixed_s), round(line.token_s * PS_PER_S), line.since)
        return self._lines[rows]
