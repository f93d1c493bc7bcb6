"""What makes a step faster than transformers alone would. Each can be switched off, to see what it is worth."""

import os

import msgspec

from engine.errors import BadInput

VARIABLE = "SPLIT_KITCHEN_WITHOUT"  # names of tricks, separated by commas


class Tricks(msgspec.Struct, frozen=True):
    """None changes what is computed; rounding in the last bits may differ.

    `compiled_rows`: steps of few rows go through kernels that are compiled here; nothing else matters to them.
    `lean_forward`: layers are walked over here, not by transformers' modules; the next four need it.
    `packed_weights`: products of several rows have their weights in oneDNN's own layout, a copy in private memory.
    `fused_products`: query, key and value are one packed product, and so are gate and up.
    `single_row_dots`: products of one row are taken straight from the mapped weights, without oneDNN.
    `short_last_layer`: the last layer is computed to its end only for rows that ask for a token.
    `blocked_attention`: prompts attend in blocks of queries.
    `wide_attention`: decode attends with all KV heads in one product.

    Those of `FOR_BF16` are slower in fp32, and not used there.
    """

    lean_forward: bool = True
    compiled_rows: bool = True
    packed_weights: bool = True
    fused_products: bool = True
    single_row_dots: bool = True
    short_last_layer: bool = True
    blocked_attention: bool = True
    wide_attention: bool = True

    def without(self, *names: str) -> "Tricks":
        for name in names:
            if name not in TRICKS:
                raise BadInput(VARIABLE, name, "one of " + ", ".join(TRICKS))
        return msgspec.structs.replace(self, **dict.fromkeys(names, False))

    @classmethod
    def of_environment(cls) -> "Tricks":
        """All but those that SPLIT_KITCHEN_WITHOUT names."""
        return cls().without(*(name for name in os.environ.get(VARIABLE, "").split(",") if name))


TRICKS = Tricks.__struct_fields__
ALL = Tricks()
FOR_BF16 = ("single_row_dots", "blocked_attention", "wide_attention")
