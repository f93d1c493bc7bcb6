"""Many rows times weights, in whichever of three ways this CPU is quickest at.

In fp32 torch's own product is. In bf16 a CPU that has instructions for it wants the weights in oneDNN's own layout: its
plain product finds that layout out anew each time. One that has none goes through bf16 number by number, and is four
times as quick in fp32, with the weights made fp32 just before.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import linear

from engine.live.compute.optimizations import Optimizations

ROWS = 16  # what oneDNN is told to expect
SHAPE = (256, 576, 1536)  # of the product that tells: rows, in, out
ROUNDS = 3

packed_product: Any = torch.ops.mkldnn._linear_pointwise


@functools.cache
def quick_at_bf16() -> bool:
    """Whether this CPU has instructions for bf16: by what it does in a tenth of a second, never by its name."""
    many, width, out = SHAPE
    rows, weight, upcast = torch.ones(many, width), torch.ones(out, width, dtype=torch.bfloat16), Upcast()
    in_bf16 = rows.bfloat16()
    return _quickest_s(lambda: linear(in_bf16, weight)) < _quickest_s(lambda: linear(rows, upcast(weight, rows.dtype)))


def _quickest_s(act: Callable[[], Any]) -> float:
    """In time of this thread, so that a busy machine does not tip the scales."""
    spent = []
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        act()
        spent.append(time.thread_time() - began_s)
    return min(spent)


class Upcast:
    """Weights in another dtype, one after the other in the same memory: fresh memory costs more than the conversion."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def __call__(self, weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if weight.dtype == dtype:
            return weight
        if len(self._memory) < weight.numel() or self._memory.dtype != dtype:
            self._memory = torch.empty(weight.numel(), dtype=dtype)
        return self._memory[: weight.numel()].view(weight.shape).copy_(weight)


class Product:
    """[rows, in] to [rows, out], for each of several linear layers of the same input."""

    def __init__(self, layers: Sequence[Any], optimizations: Optimizations, upcast: Upcast) -> None:
        self._plain: list[tuple[torch.Tensor, torch.Tensor | None]] = [(layer.weight, layer.bias) for layer in layers]
        self._outs = [len(layer.weight) for layer in layers]
        self._packed = _packed(layers) if optimizations.packed_weights else None
        self._upcast = upcast

    def __call__(self, rows: torch.Tensor) -> Sequence[torch.Tensor]:
        if self._packed:
            whole: torch.Tensor = packed_product(rows, *self._packed, "none", [], "")
            return torch.split(whole, self._outs, -1)
        return [self._product(rows, weight, bias) for weight, bias in self._plain]

    def _product(self, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return linear(rows, self._upcast(weight, rows.dtype), None if bias is None else bias.to(rows.dtype))


def _packed(layers: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Side by side, a copy in memory of this process."""
    weight = torch.cat([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias for layer in layers])
    return torch.ops.mkldnn._reorder_linear_weight(weight, ROWS), bias
