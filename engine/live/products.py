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
        self._packed: list[Weights] = []
        if tricks.packed_weights:
            whole = [_side_by_side(self._plain)] if tricks.fused_products else self._plain
            self._packed = [_packed(*weights) for weights in whole]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        if self._dots and len(rows) == 1:
            parts = _dot_products(rows, self._plain)
        elif self._packed:
            parts = [packed_product(rows, *weights, "none", [], "") for weights in self._packed]
        else:
            parts = [functional.linear(rows, *weights) for weights in self._plain]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


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
