"""Arithmetic in compiled code: bf16 in words of 32 bits (see vectors.py), and the exponential function."""

import math
from typing import Any

import numpy as np

from engine.live.compute.kernels.compiler import compiled, exactly
from engine.live.compute.kernels.vectors import as_bits, as_float

NEAREST, ODD = np.uint32(0x7FFF), np.uint32(1)
SHIFT, UPPER = np.uint32(16), np.uint32(0xFFFF0000)
LOWEST, HALF, ONE, LOG2_E = np.float32(-87), np.float32(0.5), np.float32(1), np.float32(np.log2(np.e))
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # a product with the first is exact
C2, C3, C4, C5, C6 = (np.float32(1 / math.factorial(power)) for power in range(2, 7))
EXPONENT, MANTISSA = np.int32(127), np.uint32(23)


@compiled
def in_halves(x: Any, words: int) -> Any:
    """Rows as `dots` multiplies them with rows of `words` words: for bf16 first all even numbers, then all odd ones."""
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
def in_order(apart: Any, words: int, heads: Any, first: int) -> None:
    """Undo `in_halves`: rows of sums become rows of [heads, dim], from head `first` on."""
    halves = apart.shape[1] // words
    for row in range(len(apart)):
        for word in range(words):
            for half in range(halves):
                heads[first + row, halves * word + half] = apart[row, half * words + word]


@compiled
def rounded(number: Any) -> Any:
    """The bits of a number, rounded so that the upper half is the number in bf16."""
    bits = as_bits(number)
    return bits + NEAREST + (bits >> SHIFT & ODD)


@exactly
def exp(number: Any) -> Any:
    """Of numbers up to 0, right to the last bit or two. Unlike the C library's, it vectorizes."""
    number = number if number > LOWEST else LOWEST
    power = np.int32(number * LOG2_E - HALF)  # truncation, so this rounds to the nearest
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
