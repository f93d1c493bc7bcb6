"""Rows times weights, as fast as a CPU can: packed for several rows, straight from the mapped file for one.

oneDNN multiplies fastest with weights in a layout of its own. Its plain product finds that layout out anew each time,
and with a single row it reads memory at half the pace of simple dot products.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from engine.live.tricks import Tricks

ROWS = 16  # what oneDNN is told to expect

Weights = tuple[torch.Tensor, torch.Tensor | None]  # [out, in], and the bias if there is one
onednn: Any = torch.backends.mkldnn
packed_product: Any = torch.ops.mkldnn._linear_pointwise


class Product:
    """[rows, in] to [rows, out]: one linear layer, or several of the same input with their products side by side."""

    def __init__(self, layers: Sequence[Any], tricks: Tricks) -> None:
        self._plain: list[Weights] = [(layer.weight, layer.bias) for layer in layers]
        self._dots = tricks.single_row_dots
        self._fused = tricks.packed_weights and tricks.fused_products
        whole = [_side_by_side(self._plain)] if self._fused else self._plain
        self._packed = [_packed(*weights) for weights in whole] if tricks.packed_weights else []

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        if self._single(rows):
            parts = _dot_products(rows, self._plain)
        elif self._packed:
            parts = [packed_product(rows, *weights, "none", [], "") for weights in self._packed]
        else:
            parts = [functional.linear(rows, *weights) for weights in self._plain]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def silu(self, rows: torch.Tensor) -> torch.Tensor:
        """The product, through SiLU."""
        if self._fused and not self._single(rows):
            out: torch.Tensor = packed_product(rows, *self._packed[0], "swish", [], "")
            return out
        return functional.silu(self(rows), inplace=True)

    def times(self, rows: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The product times `other`, element by element."""
        if self._fused and not self._single(rows):
            return self._with(rows, other, "mul")
        return self(rows).mul_(other)

    def plus(self, rows: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        if self._fused and not self._single(rows):
            return self._with(rows, other, "add")
        return self(rows).add_(other)

    def _with(self, rows: torch.Tensor, other: torch.Tensor, how: str) -> torch.Tensor:
        out: torch.Tensor = packed_product.binary(rows, other, *self._packed[0], how)
        return out

    def _single(self, rows: torch.Tensor) -> bool:
        return self._dots and len(rows) == 1


def _side_by_side(several: Sequence[Weights]) -> Weights:
    if len(several) == 1:
        return several[0]
    weights, biases = zip(*several, strict=True)
    return torch.cat(weights), None if biases[0] is None else torch.cat(biases)


def _packed(weight: torch.Tensor, bias: torch.Tensor | None) -> Weights:
    return torch.ops.mkldnn._reorder_linear_weight(weight, ROWS), bias


def _dot_products(row: torch.Tensor, several: Sequence[Weights]) -> list[torch.Tensor]:
    """Not by oneDNN. The switch is the process's; only one thread of a worker computes."""
    onednn.enabled = False
    try:
        return [functional.linear(row, *weights) for weights in several]
    finally:
        onednn.enabled = True
