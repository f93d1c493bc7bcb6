"""Attention over paged KV: one packed row of tokens, in which every slice sees its own request's past and nothing else.

The row holds the step's one-token pieces first and then the longer ones. The former are mostly decode: each has one
query and a past of any length, and all share one padded attention. The latter, prompts and chunks of prompts, get one
attention each. Everything that is the same in all layers is computed once a step, in `Step.of`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention as attend

from engine.live.compute.few_products import blockwise
from engine.live.compute.kv import KvPool
from engine.live.compute.options import Tricks
from engine.plan import Piece

PAGED = "paged_kv"  # the name it goes by in transformers' AttentionInterface

OnLayer = Callable[[int], None]


@dataclass(frozen=True)
class Singles:
    """The one-token pieces: the first `count` rows."""

    count: int
    blocks: torch.Tensor  # count x as many as the longest past needs, filled up with block 0
    mask: torch.Tensor  # 0 where a row may look, -inf where it may not

    @classmethod
    def of(cls, pieces: Sequence[Piece], pool: KvPool, dtype: torch.dtype) -> "Singles":
        seen = torch.tensor([piece.start + 1 for piece in pieces])
        width = -(-int(seen.max()) // pool.shape.block_tokens)
        tables = [[*piece.blocks[:width], *[0] * (width - len(piece.blocks))] for piece in pieces]
        hidden = torch.arange(width * pool.shape.block_tokens) >= seen[:, None]
        return cls(len(pieces), torch.tensor(tables), _minus_infinity(hidden[:, None, None], dtype))

    def attend(self, query: torch.Tensor, step: "Step", layer: int, scaling: float) -> torch.Tensor:
        """`query` is [rows, heads, dim], and so is what comes back."""
        past = step.pool.by_block()[layer].index_select(1, self.blocks.flatten())
        kv_heads, dim = step.pool.shape.kv_heads, step.pool.shape.head_dim
        keys, values = past.view(2, self.count, -1, kv_heads, dim).transpose(2, 3).to(query.dtype)
        # Query heads that share a KV head become its rows, so keys and values need not be repeated for them.
        grouped = query.reshape(self.count, kv_heads, -1, dim)
        return attend(grouped, keys, values, attn_mask=self.mask, scale=scaling).reshape(query.shape)


@dataclass(frozen=True)
class Span:
    """A piece of several tokens: rows `first` to `last`, which see the past in `blocks` and themselves up to each."""

    first: int
    last: int
    seen: int  # positions, with the rows' own
    blocks: torch.Tensor | None  # None at the start of a sequence: there is no past to fetch
    mask: torch.Tensor | None  # None there too, and where attention is blockwise

    @classmethod
    def of(cls, piece: Piece, first: int, pool: KvPool, blocked: bool, dtype: torch.dtype) -> "Span":
        tokens = len(piece.token_ids)
        seen = piece.start + tokens
        if piece.start == 0:
            return cls(first, first + tokens, seen, None, None)
        width = -(-seen // pool.shape.block_tokens)
        blocks = torch.tensor(piece.blocks[:width])
        if blocked:
            return cls(first, first + tokens, seen, blocks, None)
        hidden = torch.ones(tokens, seen, dtype=torch.bool).triu(piece.start + 1)
        return cls(first, first + tokens, seen, blocks, _minus_infinity(hidden, dtype))

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, step: "Step", layer: int, scaling: float
    ) -> torch.Tensor:
        """All are [rows of the whole step, heads, dim]; what comes back has only this span's rows."""
        rows = slice(self.first, self.last)
        query, key, value = (part[rows].transpose(0, 1).contiguous() for part in (query, key, value))
        if self.blocks is not None:
            past = step.pool.by_block()[layer].index_select(1, self.blocks).view(2, -1, *key.shape[::2])
            key, value = past[:, : self.seen].transpose(1, 2).to(query.dtype)
        if step.tricks.blocked_attention:
            return blockwise(query, key, value, scaling).transpose(0, 1)
        causal = self.mask is None
        whole = attend(query[None], key[None], value[None], self.mask, is_causal=causal, scale=scaling, enable_gqa=True)
        return whole[0].transpose(0, 1)


@dataclass(frozen=True)
class Step:
    """What the attention of every layer needs to know about a step. `pieces`: the one-token ones first."""

    pool: KvPool
    slots: torch.Tensor  # where each row's key and value go
    singles: Singles | None
    spans: Sequence[Span]
    on_layer: OnLayer | None
    tricks: Tricks

    @classmethod
    def of(cls, pieces: Sequence[Piece], pool: KvPool, on_layer: OnLayer | None, tricks: Tricks) -> "Step":
        singles = [piece for piece in pieces if len(piece.token_ids) == 1]
        assert singles == list(pieces[: len(singles)]), "one-token pieces come first"
        dtype = torch.float32 if tricks.upcast_products else pool.tensor.dtype  # of the queries
        spans = []
        row = len(singles)
        for piece in pieces[row:]:
            spans.append(Span.of(piece, row, pool, tricks.blocked_attention, dtype))
            row = spans[-1].last
        slots = torch.tensor([slot for piece in pieces for slot in _slots(piece, pool.shape.block_tokens)])
        return cls(pool, slots, Singles.of(singles, pool, dtype) if singles else None, spans, on_layer, tricks)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """All are [rows, heads, dim], and so is what comes back. Keys and values are kept in the pool first."""
        for kept, fresh in zip(self.pool.tensor[layer], (key, value), strict=True):
            kept.index_copy_(0, self.slots, fresh.to(kept.dtype))
        if self.on_layer:
            self.on_layer(layer)
        parts = []
        if self.singles:
            parts.append(self.singles.attend(query[: self.singles.count], self, layer, scaling))
        parts += [span.attend(query, key, value, self, layer, scaling) for span in self.spans]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def paged_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    step: Step,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in each layer with [1, heads, rows, dim]; it expects [1, rows, heads, dim] back."""
    query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
    return step.attend(module.layer_idx, query, key, value, scaling)[None], None


def _slots(piece: Piece, block_tokens: int) -> list[int]:
    positions = range(piece.start, piece.start + len(piece.token_ids))
    return [piece.blocks[at // block_tokens] * block_tokens + at % block_tokens for at in positions]


def _minus_infinity(where: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(where.shape, dtype=dtype).masked_fill_(where, float("-inf"))
