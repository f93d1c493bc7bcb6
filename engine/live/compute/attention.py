"""Attention over paged KV: one packed row of tokens, in which every piece sees its own request's past and nothing else.

The step's one-token pieces come first in the row, then the longer ones. One-token pieces are mostly decode: one query
each, over a past of any length, so they share one padded attention (`Singles`). Prompts and chunks of prompts get one
attention each (`Span`). What is the same in all layers is computed once a step, in `PagedStep.of`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention as attend

from engine.live.compute.kv import Pool
from engine.live.compute.optimizations import Optimizations
from engine.live.compute.place import is_device
from engine.plan import Piece

PAGED = "paged_kv"  # its name in transformers' AttentionInterface
QUERIES = 64  # in a block of `blockwise`: small, as half of the square on the diagonal is computed for nothing
DEVICE_QUERIES = 512  # on a device, where few large products cost less than what they compute for nothing

HALVES = (torch.bfloat16, torch.float16)  # what a GPU's fused kernels take

OnLayer = Callable[[int], None]
Attends = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]


def in_one_call(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, scaling: float
) -> torch.Tensor:
    """One query of each request over its past, by torch's own attention. `query`: [requests, KV heads, query heads of
    each, dim]; `keys`, `values`: [requests, KV heads, positions, dim]. Returns the shape of `query`."""
    return attend(query, keys, values, attn_mask=mask, scale=scaling)


def in_two_products(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, scaling: float
) -> torch.Tensor:
    """As `in_one_call`, by two products and a softmax: on some GPUs sooner, where torch's kernel has too few rows."""
    return torch.softmax((query * scaling) @ keys.transpose(-1, -2) + mask, -1) @ values


@dataclass(frozen=True)
class Singles:
    """The one-token pieces: the first `count` rows."""

    count: int
    blocks: torch.Tensor  # [count, blocks of the longest past], padded with block 0
    mask: torch.Tensor  # [count, 1, 1, positions]: 0 where a row may attend, -inf where it may not
    attends: Attends = in_one_call

    @classmethod
    def of(cls, pieces: Sequence[Piece], pool: Pool, dtype: torch.dtype) -> "Singles":
        at = [piece.start for piece in pieces]
        width = max(at) // pool.shape.block_tokens + 1
        tables = [[*piece.blocks[:width], *[0] * (width - len(piece.blocks))] for piece in pieces]
        return cls.over(pool.place.put(tables), pool.place.put(at), pool, dtype)

    @classmethod
    def over(
        cls, blocks: torch.Tensor, at: torch.Tensor, pool: Pool, dtype: torch.dtype, attends: Attends = in_one_call
    ) -> "Singles":
        """`at`, [count]: the position of each row's own token. Nothing here leaves the pool's place."""
        positions = torch.arange(blocks.shape[1] * pool.shape.block_tokens, device=pool.place.device)
        hidden = positions > at[:, None]
        return cls(len(blocks), blocks, _minus_infinity(hidden[:, None, None], dtype), attends)

    def attend(self, query: torch.Tensor, step: "PagedStep", layer: int, scaling: float) -> torch.Tensor:
        """Takes and returns [rows, heads, dim]."""
        past = step.pool.by_block()[layer].index_select(1, self.blocks.flatten())
        kv_heads, dim = step.pool.shape.kv_heads, step.pool.shape.head_dim
        keys, values = past.view(2, self.count, -1, kv_heads, dim).transpose(2, 3).to(query.dtype)
        # Query heads that share a KV head become its rows, so keys and values need not be repeated for them.
        grouped = query.reshape(self.count, kv_heads, -1, dim)
        return self.attends(grouped, keys, values, self.mask, scaling).reshape(query.shape)


@dataclass(frozen=True)
class Span:
    """A piece of several tokens: rows `first` up to `last`. Each sees `blocks`, the past, and the span up to itself."""

    first: int
    last: int
    seen: int  # positions, the span's own included
    blocks: torch.Tensor | None  # None at the start of a sequence, where there is no past to fetch
    mask: torch.Tensor | None  # None there too, and where attention is blockwise

    @classmethod
    def of(cls, piece: Piece, first: int, pool: Pool, blocked: bool, dtype: torch.dtype) -> "Span":
        tokens = len(piece.token_ids)
        seen = piece.start + tokens
        if piece.start == 0:
            return cls(first, first + tokens, seen, None, None)
        width = -(-seen // pool.shape.block_tokens)
        blocks = pool.place.put(piece.blocks[:width])
        if blocked:
            return cls(first, first + tokens, seen, blocks, None)
        hidden = torch.ones(tokens, seen, dtype=torch.bool, device=pool.place.device).triu(piece.start + 1)
        return cls(first, first + tokens, seen, blocks, _minus_infinity(hidden, dtype))

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, step: "PagedStep", layer: int, scaling: float
    ) -> torch.Tensor:
        """Takes [rows of the whole step, heads, dim]; returns only this span's rows."""
        rows = slice(self.first, self.last)
        query, key, value = (part[rows].transpose(0, 1).contiguous() for part in (query, key, value))
        if self.blocks is not None:
            past = step.pool.by_block()[layer].index_select(1, self.blocks).view(2, -1, *key.shape[::2])
            key, value = past[:, : self.seen].transpose(1, 2).to(query.dtype)
        if step.optimizations.flash_prefill and query.dtype in HALVES:
            return fused(query, key, value, scaling).transpose(0, 1)
        if step.optimizations.blocked_attention:
            queries = DEVICE_QUERIES if is_device(step.pool.place) else QUERIES
            return blockwise(query, key, value, scaling, queries).transpose(0, 1)
        causal = self.mask is None
        whole = attend(query[None], key[None], value[None], self.mask, is_causal=causal, scale=scaling, enable_gqa=True)
        return whole[0].transpose(0, 1)


@dataclass(frozen=True)
class PagedStep:
    """What the attention of every layer needs to know about a step; its one-token pieces come first."""

    pool: Pool
    slots: torch.Tensor  # [rows]: where each row's key and value go
    singles: Singles | None
    spans: Sequence[Span]
    on_layer: OnLayer | None
    optimizations: Optimizations

    @classmethod
    def of(
        cls, pieces: Sequence[Piece], pool: Pool, on_layer: OnLayer | None, optimizations: Optimizations
    ) -> "PagedStep":
        singles = [piece for piece in pieces if len(piece.token_ids) == 1]
        assert singles == list(pieces[: len(singles)]), "one-token pieces come first"
        dtype = torch.float32 if optimizations.upcast_products else pool.tensor.dtype  # of the queries
        spans = []
        row = len(singles)
        for piece in pieces[row:]:
            spans.append(Span.of(piece, row, pool, optimizations.blocked_attention, dtype))
            row = spans[-1].last
        slots = pool.place.put([slot for piece in pieces for slot in _slots(piece, pool.shape.block_tokens)])
        return cls(pool, slots, Singles.of(singles, pool, dtype) if singles else None, spans, on_layer, optimizations)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Writes keys and values into the pool, then attends. Takes and returns [rows, heads, dim]."""
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
    _attention_mask: torch.Tensor | None,
    *,
    step: PagedStep,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """transformers calls this in each layer with [1, heads, rows, dim] and expects [1, rows, heads, dim] back."""
    query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
    return step.attend(module.layer_idx, query, key, value, scaling)[None], None


def blockwise(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, queries: int = QUERIES
) -> torch.Tensor:
    """Causal attention by few, large matrix products, for CPUs that are fast at bf16, and for devices.

    torch's fused attention uses many small ones and, without AMX, has no bf16 kernel: it reaches a third of the speed
    of oneDNN's product. On a device, a mask and grouped heads would have it keep all of a prompt's scores at once.
    Scores are rounded to bf16, as in transformers' eager attention. `queries`: rows that attend together.

    `query`, [heads, rows, dim], is at the last `rows` positions; `key` and `value` are [kv heads, positions, dim].
    Returns [heads, rows, dim]; each query sees its own position and all before it.
    """
    heads, rows, dim = query.shape
    kv_heads, positions, _ = key.shape
    grouped = (query * scaling).view(kv_heads, heads // kv_heads, rows, dim)
    transposed = key.transpose(1, 2).contiguous()
    later = torch.full((queries, queries), float("-inf"), dtype=query.dtype, device=query.device).triu(1)
    out = torch.empty_like(grouped)
    for first in range(0, rows, queries):
        last = min(rows, first + queries)
        seen = positions - rows + last
        block = grouped[:, :, first:last]
        scores = torch.bmm(block.reshape(kv_heads, -1, dim), transposed[:, :, :seen])
        own = scores.view(*block.shape[:3], seen)[..., seen - (last - first) :]
        own += later[: last - first, : last - first]
        weights = torch.softmax(scores, -1)
        out[:, :, first:last] = torch.bmm(weights, value[:, :seen]).view(block.shape)
    return out.view(heads, rows, dim)


def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """As `blockwise`, by the fused kernel that torch finds for a device.

    Grouped heads together with a past would have torch keep all scores at once. So every query head gets its own copy
    of its keys and values, which takes about one hundredth of a prefill.
    """
    key, value = (part.repeat_interleave(len(query) // len(part), 0)[None] for part in (key, value))
    past = causal_lower_right(query.shape[1], key.shape[2])
    out: torch.Tensor = attend(query[None], key, value, past, scale=scaling)[0]
    return out


def _slots(piece: Piece, block_tokens: int) -> list[int]:
    positions = range(piece.start, piece.start + len(piece.token_ids))
    return [piece.blocks[at // block_tokens] * block_tokens + at % block_tokens for at in positions]


def _minus_infinity(where: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(where.shape, dtype=dtype, device=where.device).masked_fill_(where, float("-inf"))
