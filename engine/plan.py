"""A step is a tuple of slices. Prefill, a chunk of it, and one decode token are all the same thing: a slice."""

import msgspec

from engine.request import Sampling


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Compute the KV of `tokens` tokens of `request`, from position `start` of its sequence (prompt + output) on."""

    request: str
    start: int
    tokens: int


Plan = tuple[Slice, ...]


class Piece(msgspec.Struct, frozen=True):
    """A slice with all that a forward pass needs to compute it.

    `token_ids` go in at positions `start`, `start + 1`, ...; `blocks` hold the request's KV in position order.
    `sample` is None, or how to draw output token number `index` from the last row's logits.
    """

    request: str
    start: int
    token_ids: tuple[int, ...]
    blocks: tuple[int, ...]
    sample: Sampling | None
    index: int
