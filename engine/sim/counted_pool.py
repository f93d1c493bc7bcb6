"""KV blocks of a simulated worker: how many there are matters, and which ones does not."""

from functools import lru_cache

from engine.blocks import BlockPool


class CountedPool(BlockPool):
    """A pool whose owners all get blocks of the same numbers, so taking many takes no longer than taking one."""

    def __init__(self, blocks: int, block_tokens: int) -> None:
        self.blocks = blocks
        self.block_tokens = block_tokens
        self._used = 0
        self._owned = {}

    @property
    def used(self) -> int:
        return self._used

    def take(self, owner: str, tokens: int) -> tuple[int, ...] | None:
        assert owner not in self._owned, f"{owner} has its blocks already"
        count = self.needed(tokens)
        if self._used + count > self.blocks:
            return None
        self._used += count
        self._owned[owner] = taken = _numbered(count)
        return taken

    def free(self, owner: str) -> bool:
        blocks = self._owned.pop(owner, None)
        if blocks is None:
            return False
        self._used -= len(blocks)
        return True


@lru_cache(maxsize=4096)
def _numbered(blocks: int) -> tuple[int, ...]:
    return tuple(range(blocks))
