"""How long a step takes: a few formulas behind one small protocol. Seconds, tokens, bytes, FLOP.

A slice of one token is a decode *row*; a longer one is a piece of prefill. `context` is the number of tokens whose KV
the rows read, all rows together.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

Prefill = tuple[int, int]  # of one slice: first position, tokens


class StepCost(Protocol):
    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        """One step over these pieces of prefill and these decode rows."""

    def decode_s(self, rows: int, context: int, steps: int) -> list[float]:
        """Each of `steps` steps in a row with nothing but `rows` decode rows; each grows the context by `rows`."""


class _Cost(msgspec.Struct, frozen=True):
    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        raise NotImplementedError

    def decode_s(self, rows: int, context: int, steps: int) -> list[float]:
        return [self.step_s((), rows, context + step * rows) for step in range(steps)]


def attention_pairs(prefill: Sequence[Prefill]) -> float:
    """(query, key) pairs that causal attention of the pieces computes: the term that is quadratic in a prompt."""
    return sum(tokens * (start + tokens / 2) for start, tokens in prefill)


class LinearCost(_Cost, frozen=True, tag="linear"):
    """What `engine.sim.fit` fits to the steps of a log.

    `step` is paid by every step and `prefill_step` by one with prefill in it; the others are per unit of work.
    """

    step: float = 0.0
    prefill_step: float = 0.0
    prefill_token: float = 0.0
    attention_pair: float = 0.0
    row: float = 0.0
    context_token: float = 0.0

    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        seconds = self.step + self.row * rows + self.context_token * context
        if prefill:
            tokens = sum(piece[1] for piece in prefill)
            seconds += self.prefill_step + self.prefill_token * tokens
            seconds += self.attention_pair * attention_pairs(prefill)
        return seconds

    def decode_s(self, rows: int, context: int, steps: int) -> list[float]:
        first = self.step + self.row * rows + self.context_token * context
        grows = self.context_token * rows
        return [first + grows * step for step in range(steps)]


class Hardware(msgspec.Struct, frozen=True):
    """Of one worker: `gpus` devices of these dense peaks, and which share of a peak is reached.

    `compute_efficiency` 0.5 and `memory_efficiency` 0.6 are what DistServe's published coefficients imply for a
    saturated A100 (0.5 to 0.8 of peak FLOP/s, 0.63 of HBM bandwidth); unsaturated stacks reach less.
    `step_overhead_s`: launching, sampling, scheduling.
    """

    flops_per_s: float
    memory_bytes_per_s: float
    gpus: int = 1
    compute_efficiency: float = 0.5
    memory_efficiency: float = 0.6
    step_overhead_s: float = 0.002


class ModelSize(msgspec.Struct, frozen=True):
    """`parameters` are those that one token touches; `weight_bytes` what a step reads of them all.

    `attention_width` is query heads × head size.
    """

    parameters: float
    weight_bytes: float
    kv_bytes_per_token: float
    layers: int
    attention_width: int


class RooflineCost(_Cost, frozen=True, tag="roofline"):
    """max(compute, memory) + overhead, from 2 FLOP a parameter and token and the bytes that a step must read.

    Compute: 2·N·tokens + 4·L·q·d·(query, key) pairs. Memory: the weights once, and the KV of every row's context.
    `overlap` of the shorter one is hidden behind the longer: 1 is the bound, at 0 they add up. Pure steps hardly feel
    it; it decides what a step with a chunk of prefill beside decode rows costs, and so whether chunks beat a split.
    """

    hardware: Hardware
    model: ModelSize
    overlap: float = 1.0

    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        tokens = rows
        pairs = kept = float(context)
        if prefill:
            tokens += sum(piece[1] for piece in prefill)
            pairs += attention_pairs(prefill)
            kept += sum(start + tokens for start, tokens in prefill)
        return self._together_s(self._compute_s(tokens, pairs), self._memory_s(kept)) + self.hardware.step_overhead_s

    def decode_s(self, rows: int, context: int, steps: int) -> list[float]:
        """Both bounds grow by the same every step. Unless they cross on the way, one of them is the time all along."""
        compute_s, memory_s = self._compute_s(rows, context), self._memory_s(context)
        compute_grows = self._compute_s(0, rows)
        memory_grows = self._memory_s(rows) - self._memory_s(0)
        ahead_first, ahead_last = (
            memory_s >= compute_s,
            memory_s + steps * memory_grows >= compute_s + steps * compute_grows,
        )
        if ahead_first != ahead_last:
            return [self.step_s((), rows, context + step * rows) for step in range(steps)]
        longer, shorter = (memory_s, memory_grows), (compute_s, compute_grows)
        if not ahead_first:
            longer, shorter = shorter, longer
        shown = 1 - self.overlap
        first = longer[0] + shown * shorter[0] + self.hardware.step_overhead_s
        grows = longer[1] + shown * shorter[1]
        return [first + grows * step for step in range(steps)]

    def _together_s(self, compute_s: float, memory_s: float) -> float:
        return max(compute_s, memory_s) + (1 - self.overlap) * min(compute_s, memory_s)

    def _compute_s(self, tokens: float, pairs: float) -> float:
        h, m = self.hardware, self.model
        flop = 2 * m.parameters * tokens + 4 * m.layers * m.attention_width * pairs
        return flop / (h.flops_per_s * h.compute_efficiency * h.gpus)

    def _memory_s(self, kv_tokens: float) -> float:
        h, m = self.hardware, self.model
        return (m.weight_bytes + m.kv_bytes_per_token * kv_tokens) / (
            h.memory_bytes_per_s * h.memory_efficiency * h.gpus
        )


def roofline(hardware: Hardware, model: ModelSize) -> RooflineCost:
    """The cost of a model on hardware, from their data alone: a bound with stated efficiencies, not a measurement."""
    return RooflineCost(hardware, model)
