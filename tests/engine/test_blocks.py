"""In any order of taking and freeing, no block has two owners and none is lost."""

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from engine.blocks import BlockPool


class Pool(RuleBasedStateMachine):
    """`owned` is what the pool has told its owners."""

    owners = Bundle("owners")

    @initialize(blocks=st.integers(0, 12), block_tokens=st.sampled_from([1, 3, 16]))
    def create(self, blocks: int, block_tokens: int) -> None:
        self.pool = BlockPool(blocks, block_tokens)
        self.owned: dict[str, tuple[int, ...]] = {}
        self.count = 0

    @rule(target=owners, tokens=st.integers(0, 60))
    def take(self, tokens: int) -> str:
        self.count += 1
        owner = f"r{self.count}"
        count = -(-tokens // self.pool.block_tokens)
        fits = count <= self.pool.blocks - self.pool.used
        taken = self.pool.take(owner, tokens)
        assert (taken is not None) == fits
        if taken is not None:
            assert len(taken) == count == self.pool.needed(tokens)
            self.owned[owner] = taken
        return owner

    @rule(owner=owners)
    def take_again(self, owner: str) -> None:
        if owner in self.owned:
            with pytest.raises(AssertionError):
                self.pool.take(owner, 1)

    @rule(owner=consumes(owners))
    def free(self, owner: str) -> None:
        assert self.pool.free(owner) == (self.owned.pop(owner, None) is not None)
        assert not self.pool.free(owner)

    @rule()
    def take_and_free_all_that_is_left(self) -> None:
        """All remaining blocks can be taken: none is lost, and none is both free and owned."""
        free = self.pool.blocks - self.pool.used
        taken = self.pool.take("the rest", free * self.pool.block_tokens)
        assert taken is not None
        assert sorted([*taken, *self._all_owned()]) == list(range(self.pool.blocks))
        assert self.pool.take("one more", 1) is None
        self.pool.free("the rest")

    @invariant()
    def each_block_has_one_owner(self) -> None:
        for owner, blocks in self.owned.items():
            assert self.pool.owned(owner) == blocks
        owned = self._all_owned()
        assert len(set(owned)) == len(owned) == self.pool.used
        assert set(owned) <= set(range(self.pool.blocks))

    @invariant()
    def strangers_own_nothing(self) -> None:
        assert self.pool.owned("stranger") == ()

    def _all_owned(self) -> list[int]:
        return [block for blocks in self.owned.values() for block in blocks]


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=40)


def test_blocks_come_in_position_order_and_are_used_again() -> None:
    pool = BlockPool(4, 16)
    assert pool.take("a", 33) == (0, 1, 2)
    assert pool.take("b", 17) is None
    assert pool.free("a")
    assert pool.take("b", 17) == (0, 1)
