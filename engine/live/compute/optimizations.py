"""What makes a step faster than transformers alone would. Each can be switched off, to measure what it is worth."""

import os
from collections.abc import Callable

import msgspec

from engine.errors import BadInput

VARIABLE = "SPLIT_KITCHEN_WITHOUT"  # names of optimizations, separated by commas


class Optimizations(msgspec.Struct, frozen=True):
    """None changes what is computed; rounding in the last bits may differ.

    `compiled_rows`: small batches go through kernels that numba compiles. All others are for larger steps.
    `lean_forward`: the forward pass is ours, not transformers' modules'; the others need it.
    `upcast_products`: weights in bf16 are converted to fp32 for each product, and activations are fp32.
    `packed_weights`: products read weights that lie side by side in oneDNN's own layout, a copy in private memory.
    `blocked_attention`: prompts attend in blocks of queries.
    `joined_products`: products with the same input become one, whose weights take the place of the parts'.
    `fused_norm`: a norm is one operation of torch's.
    `flash_prefill`: prompts in 16 bits attend through torch's fused kernels.
    `recorded_decode`: a device has recorded decode steps (CUDA graphs), and gets each with one launch.

    Those of `FOR_FAST_BF16` and `FOR_SLOW_BF16` serve bf16 only, on CPUs with and without instructions for it. Those of
    `FOR_DEVICES` serve accelerators, and those of `FOR_CPUS` do not.
    """

    compiled_rows: bool = True
    lean_forward: bool = True
    upcast_products: bool = True
    packed_weights: bool = True
    blocked_attention: bool = True
    joined_products: bool = True
    fused_norm: bool = True
    flash_prefill: bool = True
    recorded_decode: bool = True

    def without(self, *names: str) -> "Optimizations":
        """All but these. Raises BadInput for a name that is none of the fields."""
        for name in names:
            if name not in OPTIMIZATIONS:
                raise BadInput(VARIABLE, name, "one of " + ", ".join(OPTIMIZATIONS))
        return msgspec.structs.replace(self, **dict.fromkeys(names, False))

    def fitting(self, dtype: str, fast_at_bf16: Callable[[], bool]) -> "Optimizations":
        """Those that pay for a model in this dtype (a torch dtype's name) on this CPU."""
        if dtype != "bfloat16" or not self.lean_forward:
            return self.without(*FOR_DEVICES, *FOR_FAST_BF16, *FOR_SLOW_BF16)
        return self.without(*FOR_DEVICES, *(FOR_SLOW_BF16 if fast_at_bf16() else FOR_FAST_BF16))

    def on_device(self, fuses: bool) -> "Optimizations":
        """Those that pay on an accelerator, which has its own ways for what is slow on a CPU. `fuses`: torch has fused
        attention for it, in this dtype."""
        kept = self if fuses else self.without("flash_prefill")
        return kept.without(*FOR_CPUS, *(() if self.lean_forward else FOR_DEVICES))

    @classmethod
    def of_environment(cls) -> "Optimizations":
        """All but those that SPLIT_KITCHEN_WITHOUT names. Raises BadInput for a name that is none."""
        return cls().without(*(name for name in os.environ.get(VARIABLE, "").split(",") if name))


OPTIMIZATIONS = Optimizations.__struct_fields__
ALL = Optimizations()
FOR_FAST_BF16 = ("packed_weights", "blocked_attention")
FOR_SLOW_BF16 = ("upcast_products",)
FOR_CPUS = ("compiled_rows", "upcast_products", "packed_weights")
FOR_DEVICES = ("joined_products", "fused_norm", "flash_prefill", "recorded_decode")
