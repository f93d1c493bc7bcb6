"""Many rows times weights, in whichever of three ways this CPU is fastest at.

fp32: torch's own product. bf16 on a CPU with instructions for it: weights packed in oneDNN's layout, which the plain
product would work out on every call. bf16 on any other CPU: weights converted to fp32 just before the product, which
is four times as fast as multiplying bf16 number by number.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import linear

from engine.live.compute.onednn import packed_linear
from engine.live.compute.optimizations import Optimizations

SHAPE = (256, 576, 1536)  # rows, in, out of the product that is timed
ROUNDS = 3


@functools.cache
def fast_at_bf16() -> bool:
    """Whether this CPU has instructions for bf16: measured in a tenth of a second, never looked up by its name."""
    rows_count, width, out = SHAPE
    rows, weight, upcast = torch.ones(rows_count, width), torch.ones(out, width, dtype=torch.bfloat16), Upcast()
    in_bf16 = rows.bfloat16()
    return _fastest_s(lambda: linear(in_bf16, weight)) < _fastest_s(lambda: linear(rows, upcast(weight, rows.dtype)))


def _fastest_s(act: Callable[[], Any]) -> float:
    """In this thread's CPU time, so a busy machine does not tip the scales."""
    spent = []
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        act()
        spent.append(time.thread_time() - began_s)
    return min(spent)


class Upcast:
    """Converts one weight after the other into the same memory: fresh memory costs more than the conversion."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def __call__(self, weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """`weight` in `dtype`; valid until the next call."""
        if weight.dtype == dtype:
            return weight
        if len(self._memory) < weight.numel() or self._memory.dtype != dtype:
            self._memory = torch.empty(weight.numel(), dtype=dtype)
        return self._memory[: weight.numel()].view(weight.shape).copy_(weight)


class Product:
    """[rows, in] to [rows, out] for each of several linear layers with the same input."""

    def __init__(self, layers: Sequence[Any], optimizations: Optimizations, upcast: Upcast) -> None:
        self._outs = [len(layer.weight) for layer in layers]
        self._whole: Callable[[torch.Tensor], torch.Tensor] | None = None
        if optimizations.packed_weights:
            self._whole = _packed(layers)
        elif optimizations.joined_products and len(layers) > 1:
            self._whole = _joined(layers)
        self._plain: list[tuple[torch.Tensor, torch.Tensor | None]] = [(layer.weight, layer.bias) for layer in layers]
        self._upcast = upcast

    def __call__(self, rows: torch.Tensor) -> Sequence[torch.Tensor]:
        if self._whole:
            return torch.split(self._whole(rows), self._outs, -1)
        return [self._product(rows, weight, bias) for weight, bias in self._plain]

    def _product(self, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return linear(rows, self._upcast(weight, rows.dtype), None if bias is None else bias.to(rows.dtype))


def _packed(layers: Sequence[Any]) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """All layers' weights side by side, so that one product computes them all."""
    weight = torch.cat([layer.weight for layer in layers])
    return packed_linear(weight, None if layers[0].bias is None else torch.cat([layer.bias for layer in layers]))


def _joined(layers: Sequence[Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """As `_packed`, in torch's own layout. The layers' weights become parts of the whole: nothing is kept twice."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias.detach() for layer in layers])
    for layer, part in zip(layers, torch.split(weight, [len(layer.weight) for layer in layers]), strict=True):
        layer.weight = torch.nn.Parameter(part, requires_grad=False) if isinstance(layer, torch.nn.Module) else part
    return lambda rows: linear(rows, weight, bias)
