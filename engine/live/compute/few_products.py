"""Attention in bf16 by few, large matrix products.

torch's fused attention goes in many small ones, and without AMX it has no bf16 kernel: a CPU computes there with a
third of what oneDNN's product can do. Here scores are rounded to bf16, as in transformers' eager attention.
"""

import torch

ROWS = 64  # queries a block: the triangle that is computed for nothing stays small


def blockwise(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """`query` is [heads, rows, dim] of the last `rows` positions; key and value are [kv heads, positions, dim].

    [heads, rows, dim] comes back; each query sees its own position and all before it.
    """
    heads, rows, dim = query.shape
    kv_heads, positions, _ = key.shape
    grouped = (query * scaling).view(kv_heads, heads // kv_heads, rows, dim)
    turned = key.transpose(1, 2).contiguous()
    later = torch.full((ROWS, ROWS), float("-inf"), dtype=query.dtype).triu(1)
    out = torch.empty_like(grouped)
    for first in range(0, rows, ROWS):
        last = min(rows, first + ROWS)
        seen = positions - rows + last
        block = grouped[:, :, first:last]
        scores = torch.bmm(block.reshape(kv_heads, -1, dim), turned[:, :, :seen])
        own = scores.view(*block.shape[:3], seen)[..., seen - (last - first) :]
        own += later[: last - first, : last - first]
        weights = torch.softmax(scores, -1)
        out[:, :, first:last] = torch.bmm(weights, value[:, :seen]).view(block.shape)
    return out.view(heads, rows, dim)
