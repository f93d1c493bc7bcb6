"""oneDNN's matrix product with weights packed ahead of time. torch has it under private names only; they are all here.

Leans on `torch.ops.mkldnn._reorder_linear_weight(weight, rows)` and `torch.ops.mkldnn._linear_pointwise(rows, weight,
bias, operation, scalars, algorithm)` as in torch 2.13, to which pyproject.toml holds us. They are looked up and tried
at the first use; where torch is built without MKLDNN, or has changed them, callers use torch's public product instead.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import linear

ROWS = 16  # what oneDNN is told to expect; more or fewer are computed as well
Operators = tuple[Callable[..., Any], Callable[..., Any]]


def packed_linear(weight: torch.Tensor, bias: torch.Tensor | None) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The product with a copy of `weight`, [out, in], in oneDNN's layout: [rows, in] to [rows, out], or None."""
    operators = available()
    if operators is None:
        return None
    reorder, multiply = operators
    packed = reorder(weight, ROWS)
    return lambda rows: multiply(rows, packed, bias, "none", [], "")


@functools.cache
def available() -> Operators | None:
    """The two operators (pack, multiply), if they are there and multiply as torch's public product does."""
    weight, rows = torch.eye(ROWS, dtype=torch.bfloat16), torch.ones(ROWS, ROWS, dtype=torch.bfloat16)
    try:
        reorder, multiply = look_up()
        made = multiply(rows, reorder(weight, ROWS), None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):  # no such name, no such kernel, other parameters
        return None
    return (reorder, multiply) if torch.equal(made, linear(rows, weight)) else None


def look_up() -> Operators:
    """Raises AttributeError where torch does not have them."""
    mkldnn = torch.ops.mkldnn
    return mkldnn._reorder_linear_weight, mkldnn._linear_pointwise
