"""How long a step takes: a few formulas behind one small protocol. Seconds, tokens, bytes, FLOP.

A slice of one token is a decode *row*; a longer slice is a piece of prefill. `context` is the number of tokens whose KV
all rows together read.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

Prefill = tuple[int, int]  # of one slice: first position, tokens


class Line(NamedTuple):
    """A decode step over some rows takes `fixed_s` and `token_s` per token of context, from a context of `since` on."""

    fixed_s: float
    token_s: float
    since: int = 0


class StepCost(Protocol):
    """How long steps take, in seconds."""

    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        """One step over these pieces of prefill and these decode rows."""

    def line(self, rows: int) -> Line | None:
        """The same as `step_s((), rows, context)`, if it is a straight line that never falls; else None."""


def attention_pairs(prefill: Sequence[Prefill]) -> float:
    """How many (query, key) pairs causal attention computes for these pieces: quadratic in the prompt's length."""
    return sum([tokens * (start + tokens / 2) for start, tokens in prefill])


class LinearCost(msgspec.Struct, frozen=True, tag="linear"):
    """What `engine.sim.fit` fits to the steps of a log, in seconds.

    Every step costs `step`, and one with prefill also `prefill_step`; the others are per unit of work.
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

    def line(self, rows: int) -> Line:
        return Line(self.step + self.row * rows, self.context_token)


class GpuCost(msgspec.Struct, frozen=True, tag="gpu"):
    """A worker of one or several GPUs, in seconds per unit of work. `engine.fleet.estimate.step_cost` fills it in.

        step = max(token_s x tokens + sampled_s x sampled rows, weights_s)     dense matrices
             + max(expert_token_s x tokens, expert_s x experts touched)        routed experts, if any
             + attention of the prefill pieces, then that of the decode rows   one after the other, not overlapped
             + reduce_token_s x tokens + every_s + row_s x rows + prefill_s if there is a prompt in it

    `pair_s` is for one (query, key) pair of a prompt and `kv_token_s` for the KV of one token that a decode row reads,
    in all layers with full attention; `window_pair_s` and `window_token_s` are for the layers that see at most `window`
    tokens back. `every_s`: launching, scheduling, the latency of all-reduces. `row_s`: sampling, detokenising.
    `prefill_s`: launching kernels one by one, since there is no CUDA graph for this size, and admitting a request.
    """

    token_s: float
    sampled_s: float
    weights_s: float
    pair_s: float
    kv_token_s: float
    every_s: float = 0.0
    prefill_s: float = 0.0
    row_s: float = 0.0
    reduce_token_s: float = 0.0
    window: int = 0
    window_pair_s: float = 0.0
    window_token_s: float = 0.0
    experts: int = 0
    experts_per_token: int = 0
    expert_token_s: float = 0.0
    expert_s: float = 0.0

    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        if not prefill:
            return self._matrices_s(rows, rows) + self.row_s * rows + self._reading_s(rows, context)
        tokens = rows + sum([piece[1] for piece in prefill])
        seconds = self._matrices_s(tokens, rows + len(prefill)) + self.row_s * rows
        seconds += self.prefill_s + self.pair_s * attention_pairs(prefill)
        if self.window:
            seconds += self.window_pair_s * sum(_pairs_within(self.window, *piece) for piece in prefill)
        return seconds + self._reading_s(rows, context) if rows else seconds

    def line(self, rows: int) -> Line:
        full = rows * self.window  # from here on the windows are full and cost the same
        fixed_s = self._matrices_s(rows, rows) + self.row_s * rows + self.window_token_s * full
        return Line(fixed_s, self.kv_token_s, full)

    def _matrices_s(self, tokens: float, sampled: float) -> float:
        """Everything that depends only on the number of tokens."""
        seconds = max(self.token_s * tokens + self.sampled_s * sampled, self.weights_s)
        if self.experts:
            touched = self.experts * (1.0 - (1.0 - self.experts_per_token / self.experts) ** tokens)
            seconds += max(self.expert_token_s * tokens, self.expert_s * touched)
        return seconds + self.reduce_token_s * tokens + self.every_s

    def _reading_s(self, rows: float, context: float) -> float:
        """In a windowed layer each row reads its context, or at most the window; all contexts count as the mean."""
        seconds = self.kv_token_s * context
        return seconds + self.window_token_s * min(context, rows * self.window) if self.window else seconds


def _pairs_within(window: int, start: int, tokens: int) -> float:
    """(query, key) pairs of a piece whose tokens see at most `window` tokens back."""
    growing = max(0, min(tokens, window - start))  # tokens whose whole context is within the window
    return growing * (start + growing / 2) + (tokens - growing) * window
