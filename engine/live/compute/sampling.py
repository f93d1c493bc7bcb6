"""From a row of logits to a token. A draw depends on the logits, the request's seed and the token's index alone."""

import random
from collections.abc import Sequence

import torch

from engine.request import Sampling

LIKELY = 512  # tokens that nearly always hold the nucleus; sorting the whole vocabulary takes ten times as long


def sample(logits: torch.Tensor, asked: Sequence[tuple[Sampling, int]]) -> list[int]:
    """One token for each row of `logits`, [rows, vocabulary]; `asked` has each row's (sampling, index of the token)."""
    tokens: list[int] = logits.max(dim=-1).indices.tolist()  # argmax takes four times as long in bf16
    for row, (sampling, index) in enumerate(asked):
        if sampling.temperature > 0:
            chances = nucleus(torch.softmax(logits[row].double() / sampling.temperature, dim=-1), sampling.top_p)
            tokens[row] = draw(chances, sampling.seed, index)
    return tokens


def nucleus(chances: torch.Tensor, top_p: float) -> torch.Tensor:
    """`chances` with all but the likeliest tokens struck out: the fewest whose chances add up to `top_p`."""
    if top_p >= 1:
        return chances
    likely, tokens = chances.topk(min(LIKELY, len(chances)))
    if likely.sum() < top_p:
        likely, tokens = chances.sort(descending=True)
    kept = likely.cumsum(0) - likely < top_p
    return torch.zeros_like(chances).index_copy_(0, tokens[kept], likely[kept])


def draw(chances: torch.Tensor, seed: int, index: int) -> int:
    """A token by its chances, which need not add up to 1.

    The tokens lie along a line in order of the vocabulary, not of their chances: were two of almost the same chance to
    change places, because another batch shape rounds differently, the same draw would give another token.
    """
    line = chances.cumsum(0)
    at = random.Random(f"{seed}/{index}").random() * line[-1]
    return int(torch.searchsorted(line, at, right=True))
