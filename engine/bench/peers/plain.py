"""Plain transformers at its best: `forward` with a cache and only the last row's logits, without `generate`."""

import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import torch
from transformers import DynamicCache

from engine.bench.peers.talk import answer, prompt
from engine.live.compute.transformers_model import load
from engine.live.model.catalog import Prepared


class Plain:
    """A transformers model; every act returns seconds."""

    def __init__(self, prepared: Prepared) -> None:
        self._model: Any = load(prepared, attention="sdpa")
        self._ids = torch.empty(0)

    @torch.inference_mode()
    def _forward(self) -> float:
        begun_s = time.perf_counter()
        logits = self._model(self._ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1).logits
        self._ids = logits.argmax(-1)
        self._ids.tolist()  # a server needs the tokens
        return time.perf_counter() - begun_s

    def acts(self) -> dict[str, Callable[..., float]]:
        """What the bench can ask for, by name."""
        return {"prefill": self.prefill, "gather": self.gather, "step": self.step}

    def prefill(self, tokens: int) -> float:
        """Seconds until the first token of a prompt."""
        return self._begin(1, tokens)

    def gather(self, batch: int, context: int) -> float:
        """Prefill a batch of equally long requests, for which transformers needs no padding or mask."""
        self._begin(batch, context)
        return self._forward() * 0.0

    def _begin(self, batch: int, tokens: int) -> float:
        self._cache = DynamicCache()
        self._ids = torch.tensor([prompt(tokens, number) for number in range(batch)])
        return self._forward()

    def step(self) -> float:
        """Seconds of one step."""
        return self._forward()


def main(prepared: str) -> None:
    """Answer requests on stdin. `prepared`: a `Prepared` as JSON."""
    answer(lambda: Plain(msgspec.json.decode(prepared, type=Prepared)).acts())


if __name__ == "__main__":
    main(*sys.argv[1:])
