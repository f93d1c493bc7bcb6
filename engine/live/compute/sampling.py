"""From logits to tokens. A draw depends only on the logits, the request's seed and the token's index."""

import random
from collections.abc import Sequence

import torch

from engine.request import Sampling

LIKELY = 512  # tokens that nearly always contain the nucleus; sorting the whole vocabulary takes ten times as long


def sample(logits: torch.Tensor, asked: Sequence[tuple[Sampling, int]]) -> list[int]:
    """One token for each row of `logits`, [rows, vocabulary]; `asked` has each row's (sampling, index of the token)."""
    tokens: list[int] = logits.max(dim=-1).indices.tolist()  # argmax takes four times as long in bf16
    for row, (sampling, index) in enumerate(asked):
        if sampling.temperature > 0:
            chances = nucleus(torch.softmax(logits[row].cpu().double() / sampling.temperature, dim=-1), sampling.top_p)
            tokens[row] = draw(chances, sampling.seed, index)
    return tokens


def nucleus(chances: torch.Tensor, top_p: float) -> torch.Tensor:
    """`chances`, [vocabulary], zeroed outside the nucleus: the fewest likeliest tokens that add up to `top_p`."""
    if top_p >= 1:
        return chances
    likely, tokens = chances.topk(min(LIKELY, len(chances)))
    if likely.sum() < top_p:
        likely, tokens = chances.sort(descending=True)
    kept = likely.cumsum(0) - likely < top_p
    return torch.zeros_like(chances).index_copy_(0, tokens[kept], likely[kept])


def draw(chances: torch.Tensor, seed: int, index: int) -> int:
    """Draw a token by its chances, [vocabulary], which need not add up to 1.

    Tokens are laid out in order of the vocabulary, not of their chances. Otherwise two with almost equal chances could
    swap places, as another batch shape rounds differently, and the same draw would give another token.
    """
    line = chances.cumsum(0)
    at = random.Random(f"{seed}/{index}").random() * line[-1]
    return int(torch.searchsorted(line, at, right=True))
