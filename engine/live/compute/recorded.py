"""Decode steps that a device has recorded (CUDA graphs): it gets each with one launch, not with some 20 a layer.

Without that, a GPU waits for Python: launching takes longer than reading a small model's weights. A recording has one
size, so a step takes the smallest that it fits into. Rows that are left over repeat the first one: they write the same
numbers to the same place. Everything is recorded before the first request; what fits into no recording is launched
operation by operation, as ever.

Which attention is the quicker one depends on the GPU and on the model's heads: each is recorded once and played some
times, and all steps are recorded with the one that took less.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from engine.live.compute.attention import Attends, OnLayer, PagedStep, Singles, in_one_call, in_two_products
from engine.live.compute.kv import DevicePool
from engine.live.compute.optimizations import Optimizations
from engine.plan import Piece

BATCHES = (16, 8, 4, 2, 1)  # the largest first: the others then fit into its memory
PASTS = (4096, 2048, 1024, 512, 256, 128)  # tokens
ATTENTIONS: dict[str, Attends] = {"one call": in_one_call, "two products": in_two_products}
TRIED = (8, 1024)  # rows, and tokens of past, at which these are compared
TRY_S = 0.1  # so long, or
MOST_PLAYED = 20  # so often
ID, POSITION, SLOT, TABLE = range(4)  # columns of a step's numbers; its table takes the rest


class Recording(NamedTuple):
    """`numbers`: int64 [rows, columns], which `again` reads; it writes `logits`, [rows, vocabulary]."""

    numbers: torch.Tensor
    again: Callable[[], None]
    logits: torch.Tensor


class RecordedDecode:
    """`forward`: as `engine.live.compute.forward.Forward`. `step_s`: what a step took by each of `ATTENTIONS`. Raises
    RuntimeError where nothing can be recorded."""

    def __init__(self, forward: Any, pool: DevicePool, optimizations: Optimizations) -> None:
        self._forward, self._pool, self._optimizations = forward, pool, optimizations
        tokens = pool.shape.block_tokens
        widths = [width for past in PASTS if (width := past // tokens) <= pool.blocks]
        width = min(TRIED[1] // tokens, max(widths))
        self.step_s = {name: self._step_s(attends, width) for name, attends in ATTENTIONS.items()}
        attends = ATTENTIONS[min(self.step_s, key=self.step_s.__getitem__)]
        sizes = [(rows, width) for width in widths for rows in BATCHES]
        numbers = [self._no_numbers(*size) for size in sizes]
        made = pool.place.record([partial(self._step, one, attends) for one in numbers])
        self._recordings = {
            size: Recording(one, *recorded) for size, one, recorded in zip(sizes, numbers, made, strict=True)
        }
        self._rows, self._widths = sorted(BATCHES), sorted(widths)

    def logits(self, pieces: Sequence[Piece], on_layer: OnLayer | None) -> torch.Tensor | None:
        """After each piece's token, [pieces, vocabulary], until the next call; None for a step of no recording."""
        if on_layer or any(len(piece.token_ids) > 1 or piece.sample is None for piece in pieces):
            return None
        tokens = self._pool.shape.block_tokens
        rows = _least(self._rows, len(pieces))
        width = _least(self._widths, max(piece.start for piece in pieces) // tokens + 1)
        if rows is None or width is None:
            return None
        recording = self._recordings[rows, width]
        recording.numbers.copy_(self._pool.place.put(_numbers(pieces, rows, width, tokens)))
        recording.again()
        return recording.logits[: len(pieces)]

    def _no_numbers(self, rows: int, width: int) -> torch.Tensor:
        return self._pool.place.put(np.zeros((rows, TABLE + width), np.int64))

    def _step_s(self, attends: Attends, width: int) -> float:
        place, numbers = self._pool.place, self._no_numbers(TRIED[0], width)
        ((again, _),) = place.record([partial(self._step, numbers, attends)])

        def taken_s(times: int) -> float:
            begun_s = time.perf_counter()
            for _ in range(times):
                again()
            place.finish()
            return time.perf_counter() - begun_s

        times = max(1, min(MOST_PLAYED, int(TRY_S / taken_s(1))))
        return taken_s(times) / times

    def _step(self, numbers: torch.Tensor, attends: Attends) -> torch.Tensor:
        ids, positions, slots = numbers[:, :TABLE].t().contiguous()
        dtype = self._pool.tensor.dtype
        singles = Singles.over(numbers[:, TABLE:].contiguous(), positions, self._pool, dtype, attends)
        step = PagedStep(self._pool, slots, singles, (), None, self._optimizations)
        due = torch.arange(len(numbers), device=numbers.device)
        logits: torch.Tensor = self._forward(ids, positions, step, due)
        return logits


def _numbers(pieces: Sequence[Piece], rows: int, width: int, block_tokens: int) -> Any:
    """A step's, int64 [rows, TABLE + width]."""
    made = np.zeros((rows, TABLE + width), np.int64)
    for row, piece in zip(made, pieces, strict=False):
        block, offset = divmod(piece.start, block_tokens)
        row[ID], row[POSITION], row[SLOT] = piece.token_ids[0], piece.start, piece.blocks[block] * block_tokens + offset
        table = piece.blocks[:width]
        row[TABLE : TABLE + len(table)] = table
    made[len(pieces) :] = made[0]
    return made


def _least(sizes: Sequence[int], wanted: int) -> int | None:
    return next((size for size in sizes if size >= wanted), None)
