"""Attention of small batches over paged KV, compiled: keys and values are read in the pool, where they lie.

The pool is [k or v, slot, kv head, dim / halves] words. Scores are computed for whole groups of positions; those that
a row may not see are never used.
"""

from typing import Any

import numpy as np

from engine.live.compute.kernels.compiler import compiled
from engine.live.compute.kernels.numbers import SHIFT, UPPER, exp, in_halves, in_order, rounded
from engine.live.compute.kernels.vectors import as_bits, dots, mixes

DIM_LANES = 8  # heads are narrow
POSITIONS = 4  # scored together; a block has a multiple of them

_one_query, _two_queries, _four_queries = (dots(rows, POSITIONS, DIM_LANES) for rows in (1, 2, 4))
_mix_one, _mix_two, _mix_four = (mixes(rows, DIM_LANES) for rows in (1, 2, 4))


@compiled
def keep(rows: Any, kept: Any, slots: Any) -> None:
    """Write [rows, kv heads, dim] into the pool's keys or values; bf16 is rounded to the nearest, ties to even."""
    words = kept.shape[2]
    whole = rows.shape[2] == words
    for row in range(len(rows)):
        for head in range(rows.shape[1]):
            for word in range(words):
                if whole:
                    kept[slots[row], head, word] = as_bits(rows[row, head, word])
                else:
                    even, odd = rounded(rows[row, head, 2 * word]), rounded(rows[row, head, 2 * word + 1])
                    kept[slots[row], head, word] = even >> SHIFT | odd & UPPER


@compiled
def attend(query: Any, pool: Any, rows: Any, block_tokens: int, scaling: float) -> Any:
    """Takes and returns [rows, heads, dim]; each row attends to the positions it sees in its own blocks."""
    heads, dim = query.shape[1:]
    kv_heads, words = pool.shape[2:]
    group = heads // kv_heads
    out = np.empty_like(query)
    scores = np.empty((group, rows.tables.shape[1] * block_tokens), np.float32)
    sums = np.empty((group, dim), np.float32)
    for row in range(len(query)):
        asked = in_halves(query[row], words)
        for head in range(kv_heads):
            score(
                asked[head * group : (head + 1) * group],
                pool[0, :, head],
                rows.tables[row],
                rows.seen[row],
                block_tokens,
                scores,
            )
            softmax(scores, rows.seen[row], scaling)
            mix(scores, pool[1, :, head], rows.tables[row], rows.seen[row], block_tokens, sums)
            in_order(sums, words, out[row], head * group)
    return out


@compiled
def score(queries: Any, keys: Any, blocks: Any, seen: int, block_tokens: int, scores: Any) -> None:
    """Fill scores[query, position]. Those after the last position seen, up to the end of its group, mean nothing."""
    for at in range(0, seen, POSITIONS):
        slot = blocks[at // block_tokens] * block_tokens + at % block_tokens
        query = 0
        while query + 4 <= len(queries):
            _four_queries(queries, query, keys, slot, scores, at)
            query += 4
        if query + 2 <= len(queries):
            _two_queries(queries, query, keys, slot, scores, at)
            query += 2
        if query < len(queries):
            _one_query(queries, query, keys, slot, scores, at)


@compiled
def softmax(scores: Any, seen: int, scaling: float) -> None:
    """Softmax of the first `seen` of each row, in place."""
    for row in range(len(scores)):
        highest, total = scores[row, 0], np.float32(0)
        for at in range(seen):
            highest = max(highest, scores[row, at])
        for at in range(seen):
            scores[row, at] = exp((scores[row, at] - highest) * np.float32(scaling))
            total += scores[row, at]
        for at in range(seen):
            scores[row, at] /= total


@compiled
def mix(weights: Any, values: Any, blocks: Any, seen: int, block_tokens: int, sums: Any) -> None:
    """sums[query] = sum of values times weights; in bf16 all even numbers come first, then all odd ones."""
    clear(sums)
    for at in range(0, seen, block_tokens):
        first, count = blocks[at // block_tokens] * block_tokens, min(seen - at, block_tokens)
        for word in range(0, values.shape[1], DIM_LANES):
            query = 0
            while query + 4 <= len(sums):
                _mix_four(weights, query, at, values, first, count, sums, word)
                query += 4
            if query + 2 <= len(sums):
                _mix_two(weights, query, at, values, first, count, sums, word)
                query += 2
            if query < len(sums):
                _mix_one(weights, query, at, values, first, count, sums, word)


@compiled
def clear(rows: Any) -> None:
    """Set all numbers of `rows` [rows, width] to 0."""
    for row in range(len(rows)):
        for at in range(rows.shape[1]):
            rows[row, at] = 0
