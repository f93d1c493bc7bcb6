"""Formats of weights and KV: the bytes of a number, including its scale, and the arithmetic of its products."""

from typing import Literal

import msgspec

from engine.fleet.catalog.tables import named

Arithmetic = Literal["bf16", "fp8", "fp4"]


class Precision(msgspec.Struct, frozen=True):
    """`arithmetic`: what its kernels compute in if the GPU has it; otherwise numbers are widened to 16 bits."""

    name: str
    bytes: float
    arithmetic: Arithmetic


PRECISIONS = {
    one.name: one
    for one in (
        Precision("bf16", 2.0, "bf16"),
        Precision("fp8", 1.0, "fp8"),
        Precision("int8", 1.0, "fp8"),  # int8 and fp8 have the same peak
        Precision("nvfp4", 4.5 / 8, "fp4"),  # 4 bits, and a scale of 8 for every 16 of them
        Precision("mxfp4", 4.25 / 8, "fp4"),  # a scale of 8 for every 32
        Precision("int4", 4.25 / 8, "bf16"),  # GPTQ, AWQ, NF4: widened before they are multiplied
    )
}
KV_BYTES = {"bf16": 2, "fp8": 1}


def precision(name: str) -> Precision:
    """A format by name. Raises BadInput."""
    return named("precision", name, PRECISIONS)


def kv_bytes(dtype: str) -> int:
    """Bytes of one number in the KV cache. Raises BadInput."""
    return named("kv dtype", dtype, KV_BYTES)
