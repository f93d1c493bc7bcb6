"""A decoder layer for few rows, compiled: products read each weight once, from where the file is mapped.

Activations are fp32. Weights and KV are words of 32 bits (see vectors.py): float32, or uint32 with two numbers of bf16.
In the shapes, `halves` is how many numbers a word has. Nobody here relies on NaN or infinity: what a row may not see is
never computed, so sums may be taken in any order.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding

from engine.live.kernel_cache import compiled, exactly
from engine.live.vectors import as_bits, as_float, dots, mixes

WIDE = bool(binding.get_host_cpu_features().get("avx512f"))
LANES, OUTS = (16, 4) if WIDE else (8, 2)  # what 32 or 16 vector registers hold
DIM_LANES = 8  # heads are narrow
POSITIONS = 4  # that are looked at in one go; a block has a multiple of it

_one, _two, _four = (dots(rows, OUTS, LANES) for rows in (1, 2, 4))
_one_query, _two_queries, _four_queries = (dots(rows, POSITIONS, DIM_LANES) for rows in (1, 2, 4))
_mix_one, _mix_two, _mix_four = (mixes(rows, DIM_LANES) for rows in (1, 2, 4))

NEAREST, ODD = np.uint32(0x7FFF), np.uint32(1)
LOWEST, HALF, ONE, LOG2_E = np.float32(-87), np.float32(0.5), np.float32(1), np.float32(np.log2(np.e))
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # a product with the first is exact
C2, C3, C4, C5, C6 = (np.float32(1 / math.factorial(power)) for power in range(2, 7))
EXPONENT, MANTISSA = np.int32(127), np.uint32(23)
SHIFT, UPPER = np.uint32(16), np.uint32(0xFFFF0000)


class Weights(NamedTuple):
    """One layer's. Products are [out, in / halves] words; biases and norms are fp32, and empty where there are none."""

    before_attention: Any
    query: Any
    key: Any
    value: Any
    query_bias: Any
    key_bias: Any
    value_bias: Any
    of_query: Any
    of_key: Any
    out: Any
    before_mlp: Any
    gate: Any
    up: Any
    down: Any


class Rows(NamedTuple):
    """Where each row stands: its slot in the pool, the blocks of its past, how many positions it sees, its angle."""

    slots: Any  # [rows]
    tables: Any  # [rows, blocks]
    seen: Any  # [rows]
    cos: Any  # [rows, dim]
    sin: Any  # [rows, dim]; negative in the first half


@compiled
def layer(hidden: Any, weights: Any, pool: Any, rows: Any, block_tokens: int, scaling: float, epsilon: float) -> None:
    """Take `hidden`, [rows, width], through a layer in place. `pool` is [k or v, slot, kv head, dim / halves]."""
    heads, dim = weights.query.shape[0] // rows.cos.shape[1], rows.cos.shape[1]
    normed = norm(hidden, weights.before_attention, epsilon)
    query = product(normed, weights.query, weights.query_bias).reshape(len(hidden), heads, dim)
    key = product(normed, weights.key, weights.key_bias).reshape(len(hidden), -1, dim)
    value = product(normed, weights.value, weights.value_bias).reshape(len(hidden), -1, dim)
    for part, of_heads in ((query, weights.of_query), (key, weights.of_key)):
        if len(of_heads):
            norm_heads(part, of_heads, epsilon)
        turn(part, rows.cos, rows.sin)
    keep(key, pool[0].view(np.uint32), rows.slots)
    keep(value, pool[1].view(np.uint32), rows.slots)
    attended = attend(query, pool, rows, block_tokens, scaling)
    nothing = weights.of_query[:0]
    add(hidden, product(attended.reshape(len(hidden), -1), weights.out, nothing))
    normed = norm(hidden, weights.before_mlp, epsilon)
    gate, up = product(normed, weights.gate, nothing), product(normed, weights.up, nothing)
    weigh(gate, up)
    add(hidden, product(gate, weights.down, nothing))


@compiled
def product(x: Any, words: Any, bias: Any) -> Any:
    """x @ words.T + bias: [rows, in] to [rows, out]. A few rows of words stay in the cache while all rows of x pass."""
    x = in_halves(x, words.shape[1])
    y = np.empty((len(x), len(words)), np.float32)
    for out in range(0, len(words), OUTS):
        row = 0
        while row + 4 <= len(x):
            _four(x, row, words, out, y, out)
            row += 4
        if row + 2 <= len(x):
            _two(x, row, words, out, y, out)
            row += 2
        if row < len(x):
            _one(x, row, words, out, y, out)
    for row in range(len(y) if len(bias) else 0):
        for out in range(len(bias)):
            y[row, out] += bias[out]
    return y


@compiled
def in_halves(x: Any, words: int) -> Any:
    """Rows as `dots` wants them beside so many words: first what belongs to first halves of words, then the rest."""
    halves = x.shape[1] // words
    if halves == 1:
        return x
    apart = np.empty_like(x)
    for row in range(len(x)):
        for half in range(halves):
            for word in range(words):
                apart[row, half * words + word] = x[row, halves * word + half]
    return apart


@compiled
def norm(rows: Any, weight: Any, epsilon: float) -> Any:
    """RMS norm over the last of two dimensions."""
    normed = np.empty_like(rows)
    for row in range(len(rows)):
        squares = np.float32(0)
        for at in range(len(weight)):
            squares += rows[row, at] * rows[row, at]
        factor = np.float32(1 / np.sqrt(squares / len(weight) + epsilon))
        for at in range(len(weight)):
            normed[row, at] = rows[row, at] * factor * weight[at]
    return normed


@compiled
def norm_heads(heads: Any, weight: Any, epsilon: float) -> None:
    """The same for each of [rows, heads, dim], in place."""
    for row in range(len(heads)):
        normed = norm(heads[row], weight, epsilon)
        for head in range(len(normed)):
            for at in range(len(weight)):
                heads[row, head, at] = normed[head, at]


@compiled
def add(rows: Any, others: Any) -> None:
    """rows += others, which costs much less to compile than so written."""
    for row in range(len(rows)):
        for at in range(rows.shape[1]):
            rows[row, at] += others[row, at]


@compiled
def turn(heads: Any, cos: Any, sin: Any) -> None:
    """Rotary positions, in place: [rows, heads, dim], whose halves belong together."""
    half = heads.shape[2] // 2
    for row in range(heads.shape[0]):
        for head in range(heads.shape[1]):
            for at in range(half):
                first, second = heads[row, head, at], heads[row, head, half + at]
                heads[row, head, at] = first * cos[row, at] + second * sin[row, at]
                heads[row, head, half + at] = second * cos[row, half + at] + first * sin[row, half + at]


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
def rounded(number: Any) -> Any:
    """The bits of a number, of which the upper half is it in bf16."""
    bits = as_bits(number)
    return bits + NEAREST + (bits >> SHIFT & ODD)


@compiled
def attend(query: Any, pool: Any, rows: Any, block_tokens: int, scaling: float) -> Any:
    """[rows, heads, dim], each row over the keys and values of its own blocks, which are read where they lie."""
    heads, dim = query.shape[1:]
    kv_heads, words = pool.shape[2:]
    group = heads // kv_heads
    out = np.empty_like(query)
    scores = np.empty((group, rows.tables.shape[1] * block_tokens), np.float32)
    sums = np.empty((group, dim), np.float32)
    for row in range(len(query)):
        asked = in_halves(query[row], words)
        for head in range(kv_heads):
            look(
                asked[head * group : (head + 1) * group],
                pool[0, :, head],
                rows.tables[row],
                rows.seen[row],
                block_tokens,
                scores,
            )
            soften(scores, rows.seen[row], scaling)
            gather(scores, pool[1, :, head], rows.tables[row], rows.seen[row], block_tokens, sums)
            in_order(sums, words, out[row], head * group)
    return out


@compiled
def look(queries: Any, keys: Any, blocks: Any, seen: int, block_tokens: int, scores: Any) -> None:
    """scores[query, position]; those after the last one seen, up to the end of its block, mean nothing."""
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
def soften(scores: Any, seen: int, scaling: float) -> None:
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
def gather(weights: Any, values: Any, blocks: Any, seen: int, block_tokens: int, sums: Any) -> None:
    """sums[query] = the positions' values, each times its weight; in bf16 first all even numbers, then all odd ones."""
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
    for row in range(len(rows)):
        for at in range(rows.shape[1]):
            rows[row, at] = 0


@compiled
def in_order(apart: Any, words: int, heads: Any, first: int) -> None:
    """Undo `in_halves`: from sums to [heads, dim], beginning with head `first`."""
    halves = apart.shape[1] // words
    for row in range(len(apart)):
        for word in range(words):
            for half in range(halves):
                heads[first + row, halves * word + half] = apart[row, half * words + word]


@compiled
def weigh(gate: Any, up: Any) -> None:
    """gate = silu(gate) * up, in place."""
    for row in range(len(gate)):
        for at in range(gate.shape[1]):
            number = gate[row, at]
            small = exp(-abs(number))
            share = (np.float32(1) if number > 0 else small) / (np.float32(1) + small)
            gate[row, at] = number * share * up[row, at]


@exactly
def exp(number: Any) -> Any:
    """For numbers that are not positive, to the last bit or two; unlike the C library's, it fits vector registers."""
    number = number if number > LOWEST else LOWEST
    power = np.int32(number * LOG2_E - HALF)  # cut towards zero, so this is the nearest
    twos = np.float32(power)
    rest = (number - twos * LN2_HIGH) - twos * LN2_LOW
    series = C6
    series = series * rest + C5
    series = series * rest + C4
    series = series * rest + C3
    series = series * rest + C2
    series = series * rest + ONE
    series = series * rest + ONE
    return series * as_float(np.uint32(np.uint32(power + EXPONENT) << MANTISSA))
