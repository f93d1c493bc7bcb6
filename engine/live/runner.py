"""Compute a step: the pieces of a plan go through the model once, and those that ask get their next token."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch

from engine.live.attention import OnLayer, Step
from engine.live.kv import KvPool
from engine.live.sampling import sample
from engine.plan import Piece


class Runner:
    """A model and the pool that its keys and values live in. Of requests it knows only the pieces it is given."""

    def __init__(self, model: Any, pool: KvPool) -> None:
        self.model = model
        self.pool = pool

    @torch.inference_mode()
    def run(self, pieces: Sequence[Piece], on_layer: OnLayer | None = None) -> list[int | None]:
        """For each piece the token that follows its last one, or None if it does not ask.

        `on_layer` is called with each layer's index as soon as that layer's keys and values lie in the pool.
        """
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i].token_ids) > 1)  # one-token pieces first
        packed = [pieces[i] for i in order]
        last_rows = [end - 1 for end in accumulate(len(piece.token_ids) for piece in packed)]
        due = [i for i, piece in enumerate(packed) if piece.sample]
        logits = self.model(
            input_ids=torch.tensor([[token for piece in packed for token in piece.token_ids]]),
            position_ids=torch.tensor([[piece.start + i for piece in packed for i in range(len(piece.token_ids))]]),
            use_cache=False,
            logits_to_keep=torch.tensor([last_rows[i] for i in due], dtype=torch.long),
            step=Step.of(packed, self.pool, on_layer),
        ).logits[0]
        asked = [(piece.sample, piece.index) for piece in packed if piece.sample]
        tokens: list[int | None] = [None] * len(pieces)
        for i, token in zip(due, sample(logits, asked), strict=True):
            tokens[order[i]] = token
        return tokens
