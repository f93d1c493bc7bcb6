"""Which request owns which KV block. Numbers only; the memory behind them is the runner's."""


class BlockPool:
    """`blocks` blocks of `block_tokens` tokens each. Each block has one owner or none; no block is ever lost."""

    def __init__(self, blocks: int, block_tokens: int) -> None:
        self.blocks = blocks
        self.block_tokens = block_tokens
        self._free = list(range(blocks - 1, -1, -1))
        self._owned: dict[str, tuple[int, ...]] = {}

    @property
    def used(self) -> int:
        """How many blocks have an owner."""
        return self.blocks - len(self._free)

    def needed(self, tokens: int) -> int:
        """Blocks that hold `tokens` tokens, rounded up."""
        return -(-tokens // self.block_tokens)

    def owned(self, owner: str) -> tuple[int, ...]:
        """The owner's blocks, in position order; empty if it has none."""
        return self._owned.get(owner, ())

    def take(self, owner: str, tokens: int) -> tuple[int, ...] | None:
        """All the blocks that `tokens` tokens need, in position order, or None (and no change) if too few are free."""
        assert owner not in self._owned, f"{owner} has its blocks already"
        count = self.needed(tokens)
        if count > len(self._free):
            return None
        keep = len(self._free) - count
        taken = tuple(reversed(self._free[keep:]))
        del self._free[keep:]
        self._owned[owner] = taken
        return taken

    def free(self, owner: str) -> bool:
        """Free the owner's blocks; False if it had none."""
        blocks = self._owned.pop(owner, None)
        if blocks is None:
            return False
        self._free.extend(reversed(blocks))
        return True
