"""How many of the models that transformers documents can be read: `python -m engine.fleet.catalog.coverage [KIND ...]`.

Without a file each config class has the numbers of a published model, which its documentation names. Each goes the way
of a file of yours. What is refused stands with its reason; anything else that goes wrong is a fault of ours.
"""

import sys
from collections.abc import Iterator, Sequence

import msgspec

from engine.errors import BadInput
from engine.fleet.catalog.hf_config import model_shape
from engine.fleet.catalog.on_meta_device import of_classes


class Outcome(msgspec.Struct, frozen=True):
    """`why` it was refused; empty if it was read, with so many `params` and bytes of KV a token."""

    kind: str
    why: str = ""
    params: int = 0
    kv_bytes_per_token: int = 0


def outcomes(kinds: Sequence[str] = ()) -> Iterator[Outcome]:
    """Of every kind of model that writes text, or of some."""
    for one in of_classes(kinds):
        kind = one["kind"]
        if "why" in one:
            yield Outcome(kind, f"transformers itself has no such config ({one['why']})")
            continue
        try:
            shape = model_shape(one["config"], kind, None, one["found"])
        except BadInput as refused:
            yield Outcome(kind, str(refused))
            continue
        yield Outcome(kind, "", shape.params, shape.kv_bytes_per_token)


def main() -> None:
    """Print what is read of each kind of model, or of those named on the command line."""
    found = []
    for one in outcomes(sys.argv[1:]):
        found.append(one)
        says = one.why or f"{one.params / 1e9:,.3g}e9 parameters, {one.kv_bytes_per_token:,} bytes of KV a token"
        print(f"{one.kind:32} {'refused: ' if one.why else ''}{says}", flush=True)  # noqa: T201
    read = sum(not one.why for one in found)
    print(f"\n{read} of {len(found)} read, {read / len(found):.1%}")  # noqa: T201


if __name__ == "__main__":
    main()
