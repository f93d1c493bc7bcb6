"""Prefix caches: how much of a prompt's KV a simulated worker already has, from earlier prompts with the same prefix.

Prompts are identified by the hashes of their blocks, as in Mooncake's traces. A worker keeps its most recently used
blocks, up to a number of tokens, in addition to those of the requests it serves.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from engine.request import Request


class PrefixCaches:
    """`blocks`: by request id, the hashes of the blocks of `block_tokens` tokens that make up the prompt."""

    def __init__(self, blocks: Mapping[str, Sequence[int]], block_tokens: int, capacity_tokens: int) -> None:
        self._blocks = blocks
        self._block_tokens = block_tokens
        self._capacity = capacity_tokens // block_tokens
        self._kept: dict[str, OrderedDict[int, None]] = {}
        self.hit_tokens = 0
        self.asked_tokens = 0

    def peek(self, request: str, worker: str) -> int:
        """How many tokens of the request's prefix the worker has, in whole blocks."""
        kept = self._kept.get(worker, ())
        hits = 0
        for block in self._blocks.get(request, ()):
            if block not in kept:
                break
            hits += 1
        return hits * self._block_tokens

    def take(self, request: Request, worker: str) -> int:
        """As `peek`, but never the prompt's last token; the worker keeps the whole prompt from now on."""
        cached = min(self.peek(request.id, worker), len(request.prompt_ids) - 1)
        self.asked_tokens += len(request.prompt_ids)
        self.hit_tokens += cached
        self.keep(request, worker)
        return cached

    def forget(self, worker: str) -> None:
        """The worker is gone, with all that it kept."""
        self._kept.pop(worker, None)

    def keep(self, request: Request, worker: str) -> None:
        """The worker now has this prompt's KV; its least recently used blocks may be evicted."""
        kept = self._kept.setdefault(worker, OrderedDict())
        for block in self._blocks.get(request.id, ()):
            kept[block] = None
            kept.move_to_end(block)
        while len(kept) > self._capacity:
            kept.popitem(last=False)
