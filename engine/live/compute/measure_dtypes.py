"""Measure how fast this machine multiplies in fp32, in bf16, and in fp32 with weights stored in bf16.

Run as a program, it prints the speeds as JSON; `engine.live.model.dtypes` chooses by them.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch.nn.functional import linear

from engine.live.compute.kernels import if_compiled
from engine.live.compute.products import Upcast
from engine.live.model.dtypes import DECODE_TOKENS, PREFILL_TOKENS, UPCAST, WEIGHT, Speed, Speeds

WEIGHTS = 24  # multiplied in turn, so that a decode step reads memory and not the cache
ROUNDS = 6


def measure() -> Speeds:
    """About 0.5 s of work: the best of several rounds. Sets this process to one thread.

    The ways take turns, and each is timed in its thread's own CPU time, so a busy machine does not tip the scales.
    """
    torch.set_num_threads(1)
    widened = Upcast()

    def upcast(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return linear(rows, widened(weight, rows.dtype))

    small = if_compiled(_kernel) or upcast

    def seconds(product: Any, rows: int, dtype: str, weights: list[torch.Tensor]) -> float:
        ones = torch.ones(rows, WEIGHT[1], dtype=getattr(torch, dtype))
        began = time.thread_time()
        for weight in weights:
            product(ones, weight)
        return (time.thread_time() - began) / len(weights)

    whole, half = (
        [torch.ones(WEIGHT, dtype=dtype) for _ in range(WEIGHTS)] for dtype in (torch.float32, torch.bfloat16)
    )
    ways = {  # the product for a prefill and for a decode step, the rows' dtype, the weights
        "float32": (linear, small, "float32", whole),
        "bfloat16": (linear, linear, "bfloat16", half),
        UPCAST: (upcast, small, "float32", half),
    }
    best = dict.fromkeys(ways, Speed(math.inf, math.inf))
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for name, (of_prefill, of_decode, dtype, weights) in ways.items():
                prefill_s = seconds(of_prefill, PREFILL_TOKENS, dtype, weights[:4])
                decode_s = seconds(of_decode, DECODE_TOKENS, dtype, weights)
                best[name] = Speed(min(best[name].prefill_s, prefill_s), min(best[name].decode_s, decode_s))
    return best


def _kernel() -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The compiled product for a handful of rows, which has been compiled for both dtypes."""
    from engine.live.compute.small_batch import product

    for dtype in (torch.float32, torch.bfloat16):
        product(torch.ones(1, WEIGHT[1]), torch.ones(WEIGHT, dtype=dtype))
    return product


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure()))
