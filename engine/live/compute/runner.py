"""Compute a step: the pieces of a plan go through the model once, and those that ask for a token get one."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch

from engine.live.compute.attention import OnLayer, PagedStep
from engine.live.compute.forward import Forward
from engine.live.compute.kernels import if_compiled
from engine.live.compute.kv import DevicePool, KvPool, Pool
from engine.live.compute.optimizations import ALL, Optimizations
from engine.live.compute.products import fast_at_bf16
from engine.live.compute.recorded import RecordedDecode
from engine.live.compute.sampling import sample
from engine.plan import Piece
from engine.request import Sampling

SMALL = 32  # rows; with more it pays to prepare the weights for the product first


class Runner:
    """A model and the pool that holds its keys and values. Of a request it sees only the pieces it is given.

    `remarks`: what it could not do here and does in a slower way, as clauses; known once it is warm.
    """

    def __init__(self, model: Any, pool: Pool, optimizations: Optimizations = ALL) -> None:
        self.pool = pool
        self._small_batch = None
        self._recorded: RecordedDecode | None = None
        self.remarks: tuple[str, ...] = ()
        if isinstance(pool, KvPool):
            self._optimizations = optimizations.fitting(pool.shape.dtype, fast_at_bf16)
            if optimizations.compiled_rows:
                self._small_batch = _small_batch(model, pool)
        else:
            self._optimizations = optimizations.on_device(pool.place.fuses(pool.tensor.dtype))
        ours = partial(Forward, model, self._optimizations, self._small_batch)
        self._forward = ours() if optimizations.lean_forward else partial(_by_modules, model)

    def warm_up(self) -> None:
        """Run a large step and a small one, so that no request pays for what is set up at the first use."""
        block_tokens = self.pool.shape.block_tokens
        for tokens in (2 * SMALL, 1):
            blocks = tuple(range(-(-tokens // block_tokens)))
            self.run([Piece("warm-up", 0, (0,) * tokens, blocks, Sampling(), 0)])
        if isinstance(self.pool, DevicePool) and self._optimizations.recorded_decode:
            self._record(self.pool)

    @torch.inference_mode()
    def _record(self, pool: DevicePool) -> None:
        try:
            self._recorded = RecordedDecode(self._forward, pool, self._optimizations)
        except RuntimeError as why:  # what CUDA says, memory included: slower is better than not at all, if it is said
            said = (str(why).splitlines() or [type(why).__name__])[0]
            self.remarks = (
                f"decode steps are launched one operation after the other, as none could be recorded: {said}",
            )

    @torch.inference_mode()
    def run(self, pieces: Sequence[Piece], on_layer: OnLayer | None = None) -> list[int | None]:
        """For each piece the token that follows its last one, or None if it does not ask for one.

        `on_layer` is called with each layer's index as soon as that layer's keys and values lie in the pool.
        """
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i].token_ids) > 1)  # one-token pieces first
        packed = [pieces[i] for i in order]
        asked = [(piece.sample, piece.index) for piece in packed if piece.sample]
        sampled = iter(sample(self.logits(packed, on_layer), asked))
        tokens: list[int | None] = [None] * len(pieces)
        for i, piece in zip(order, packed, strict=True):
            if piece.sample:
                tokens[i] = next(sampled)
        return tokens

    def logits(self, packed: Sequence[Piece], on_layer: OnLayer | None = None) -> torch.Tensor:
        """[pieces that ask, vocabulary]: after the last token of each. One-token pieces must come first."""
        if self._recorded and (recorded := self._recorded.logits(packed, on_layer)) is not None:
            return recorded
        last_rows = [end - 1 for end in accumulate(len(piece.token_ids) for piece in packed)]
        due = [row for row, piece in zip(last_rows, packed, strict=True) if piece.sample]
        put = self.pool.place.put
        ids = put([token for piece in packed for token in piece.token_ids])
        positions = put([piece.start + i for piece in packed for i in range(len(piece.token_ids))])
        rows = put(due)
        if self._small_batch and len(ids) <= SMALL:
            logits: torch.Tensor = self._small_batch(ids, positions, packed, on_layer, rows)
            return logits
        return self._forward(ids, positions, PagedStep.of(packed, self.pool, on_layer, self._optimizations), rows)


def _small_batch(model: Any, pool: KvPool) -> Any:
    """The compiled forward pass for small batches; None without numba, or where no kernel fits this model."""

    def compiled() -> Any:
        from engine.live.compute.small_batch import SmallBatch

        return SmallBatch.tried(model, pool) if SmallBatch.covers(model, pool) else None

    return if_compiled(compiled)


def _by_modules(
    model: Any, ids: torch.Tensor, positions: torch.Tensor, step: PagedStep, due: torch.Tensor
) -> torch.Tensor:
    """transformers' own forward pass, in which only the attention is ours."""
    out = model(input_ids=ids[None], position_ids=positions[None], use_cache=False, logits_to_keep=due, step=step)
    logits: torch.Tensor = out.logits[0]
    return logits
