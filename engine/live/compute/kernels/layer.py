"""A decoder layer for small batches, compiled: products read each weight once, from the mapped file.

Activations are fp32. Weights and KV are words of 32 bits (see vectors.py): float32, or uint32 with two numbers of bf16.
In shapes, `halves` is how many numbers a word holds. Sums may be taken in any order; there are no masks, so nothing
relies on infinity or NaN.
"""

from typing import Any, NamedTuple

import numpy as np

from engine.live.compute.kernels.attention import attend, keep
from engine.live.compute.kernels.compiler import compiled
from engine.live.compute.kernels.numbers import exp, in_halves
from engine.live.compute.kernels.vectors import WIDE, dots

LANES, OUTS = (16, 4) if WIDE else (8, 2)  # as much as 32 or 16 vector registers hold

_one, _two, _four = (dots(rows, OUTS, LANES) for rows in (1, 2, 4))


class LayerWeights(NamedTuple):
    """Products are [out, in / halves] words; biases and norms are fp32 vectors, empty where the layer has none."""

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


class RowPlaces(NamedTuple):
    """For each row: its slot in the pool, the blocks of its past, how many positions it sees, its rotary angle."""

    slots: Any  # [rows]
    tables: Any  # [rows, blocks]
    seen: Any  # [rows]
    cos: Any  # [rows, dim]
    sin: Any  # [rows, dim]; negative in the first half


@compiled
def layer(hidden: Any, weights: Any, pool: Any, rows: Any, block_tokens: int, scaling: float, epsilon: float) -> None:
    """One layer over `hidden`, [rows, width], in place. `pool` is [k or v, slot, kv head, dim / halves]."""
    heads, dim = weights.query.shape[0] // rows.cos.shape[1], rows.cos.shape[1]
    normed = norm(hidden, weights.before_attention, epsilon)
    query = product(normed, weights.query, weights.query_bias).reshape(len(hidden), heads, dim)
    key = product(normed, weights.key, weights.key_bias).reshape(len(hidden), -1, dim)
    value = product(normed, weights.value, weights.value_bias).reshape(len(hidden), -1, dim)
    for part, of_heads in ((query, weights.of_query), (key, weights.of_key)):
        if len(of_heads):
            norm_heads(part, of_heads, epsilon)
        rope(part, rows.cos, rows.sin)
    keep(key, pool[0].view(np.uint32), rows.slots)
    keep(value, pool[1].view(np.uint32), rows.slots)
    attended = attend(query, pool, rows, block_tokens, scaling)
    nothing = weights.of_query[:0]
    add(hidden, product(attended.reshape(len(hidden), -1), weights.out, nothing))
    normed = norm(hidden, weights.before_mlp, epsilon)
    gate, up = product(normed, weights.gate, nothing), product(normed, weights.up, nothing)
    swiglu(gate, up)
    add(hidden, product(gate, weights.down, nothing))


@compiled
def product(x: Any, words: Any, bias: Any) -> Any:
    """x @ words.T + bias: [rows, in] to [rows, out]. A few rows of words stay cached while all rows of x use them."""
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
    """`norm` of each head of [rows, heads, dim], in place."""
    for row in range(len(heads)):
        normed = norm(heads[row], weight, epsilon)
        for head in range(len(normed)):
            for at in range(len(weight)):
                heads[row, head, at] = normed[head, at]


@compiled
def add(rows: Any, others: Any) -> None:
    """rows += others; this loop compiles much faster than that expression."""
    for row in range(len(rows)):
        for at in range(rows.shape[1]):
            rows[row, at] += others[row, at]


@compiled
def rope(heads: Any, cos: Any, sin: Any) -> None:
    """Rotary positions of [rows, heads, dim], in place; the two halves of a head pair up, element by element."""
    half = heads.shape[2] // 2
    for row in range(heads.shape[0]):
        for head in range(heads.shape[1]):
            for at in range(half):
                first, second = heads[row, head, at], heads[row, head, half + at]
                heads[row, head, at] = first * cos[row, at] + second * sin[row, at]
                heads[row, head, half + at] = second * cos[row, half + at] + first * sin[row, half + at]


@compiled
def swiglu(gate: Any, up: Any) -> None:
    """gate = silu(gate) * up, in place."""
    for row in range(len(gate)):
        for at in range(gate.shape[1]):
            number = gate[row, at]
            small = exp(-abs(number))
            share = (np.float32(1) if number > 0 else small) / (np.float32(1) + small)
            gate[row, at] = number * share * up[row, at]
