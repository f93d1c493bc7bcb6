"""What of a prompt's KV a simulated worker has already, from earlier prompts that began alike.

Prompts are known by the names of their blocks, as Mooncake's traces give them. A worker keeps the blocks that it used
last, up to a number of tokens, beside those of the requests it serves.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from engine.request import Request


class PrefixCaches:
    """`blocks` names the blocks of `block_tokens` tokens that each request's prompt consists of, by request id."""

    def __init__(self, blocks: Mapping[str, Sequence[int]], block_tokens: int, capacity_tokens: int) -> None:
        self._blocks = blocks
        self._block_tokens = block_tokens
        self._capacity = capacity_tokens // block_tokens
        self._kept: dict[str, OrderedDict[int, None]] = {}
        self.hit_tokens = 0
        self.asked_tokens = 0

    def peek(self, request: str, worker: str) -> int:
        """Tokens at the beginning of the request's prompt that the worker has, in whole blocks."""
        kept = self._kept.get(worker, ())
        hits = 0
        for block in self._blocks.get(request, ()):
            if block not in kept:
                break
            hits += 1
        return hits * self._block_tokens

    def take(self, request: Request, worker: str) -> int:
        """The same, never the last token of the prompt; the worker keeps the whole prompt from now on."""
        cached = min(self.peek(request.id, worker), len(request.prompt_ids) - 1)
        self.asked_tokens += len(request.prompt_ids)
        self.hit_tokens += cached
        self.keep(request, worker)
        return cached

    def keep(self, request: Request, worker: str) -> None:
        """The worker has this prompt's KV now; what it has not used for longest may have to go for it."""
        kept = self._kept.setdefault(worker, OrderedDict())
        for block in self._blocks.get(request.id, ()):
            kept[block] = None
            kept.move_to_end(block)
        while len(kept) > self._capacity:
            kept.popitem(last=False)
