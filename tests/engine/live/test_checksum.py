"""The compiled checksum is xxh3-64 as xxhash's library has it, and what it copies is what it summed."""

from collections.abc import Callable

import numpy as np
import pytest
import xxhash

from engine.live.compute.kernels.checksum import CompiledChecksum
from engine.live.compute.kv import Bytes, KvPool, pool_rows, row_numbers
from engine.live.handoff import checksum
from engine.live.handoff.checksum import Checksum, LibraryChecksum, digest
from engine.live.model.shape import KvShape

ROW_BYTES = 3 * 1024
MAKERS: list[Callable[[], Checksum]] = [CompiledChecksum, lambda: LibraryChecksum(ROW_BYTES)]
ROWS = np.array([7, 2, 3, 11, 0, 2])
PLACES = np.array([1, 5, 4, 0, 8, 2])

compiled_and_library = pytest.mark.parametrize("make", MAKERS, ids=["compiled", "library"])


@pytest.fixture
def memory() -> Bytes:
    return np.random.default_rng(0).integers(0, 256, (12, ROW_BYTES), np.uint8)


@compiled_and_library
@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_it_is_xxh3_of_the_rows_in_their_order(make: Callable[[], Checksum], count: int, memory: Bytes) -> None:
    made = make()
    made.add(memory, ROWS[:count])
    assert made.hexdigest() == xxhash.xxh3_64(memory[ROWS[:count]].tobytes()).hexdigest()


@compiled_and_library
def test_rows_that_are_copied_count_as_those_that_are_read(
    make: Callable[[], Checksum], memory: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum, "CACHED_BYTES", 2 * ROW_BYTES)  # so the library's way takes three rounds
    made, into = make(), np.zeros((9, ROW_BYTES), np.uint8)
    made.add(memory, ROWS[:1])
    made.add_and_copy(memory, ROWS[1:], into, PLACES[1:])
    made.hexdigest()  # asking changes nothing
    made.add(memory, ROWS)
    assert made.hexdigest() == xxhash.xxh3_64(memory[[*ROWS, *ROWS]].tobytes()).hexdigest()
    expected = np.zeros_like(into)
    expected[PLACES[1:]] = memory[ROWS[1:]]
    assert (into == expected).all()


@pytest.mark.parametrize(
    ("rows", "places"), [([12], [0]), ([-1], [0]), ([0], [9]), ([0], [-1]), ([0, 1], [0])], ids=str
)
def test_rows_that_are_not_there_are_neither_read_nor_written(
    rows: list[int], places: list[int], memory: Bytes
) -> None:
    made, into = CompiledChecksum(), np.zeros((9, ROW_BYTES), np.uint8)
    with pytest.raises(IndexError):
        made.add_and_copy(memory, np.array(rows), into, np.array(places))
    assert not into.any()
    with pytest.raises(IndexError):
        made.add(memory, np.array([12]))


@pytest.mark.parametrize("byte", [0, 63, 64, 1023, 1024, ROW_BYTES - 65, ROW_BYTES - 64, ROW_BYTES - 1])
@pytest.mark.parametrize("row", [0, 5])
def test_one_bit_makes_another_sum(row: int, byte: int, memory: Bytes) -> None:
    rows = np.arange(6)
    before, after = CompiledChecksum(), CompiledChecksum()
    before.add(memory, rows)
    memory[row, byte] ^= 1
    after.add(memory, rows)
    assert before.hexdigest() != after.hexdigest()
    assert after.hexdigest() == xxhash.xxh3_64(memory[rows].tobytes()).hexdigest()


def test_zeros_are_told_apart_by_their_length() -> None:
    memory = np.zeros((4, ROW_BYTES), np.uint8)
    sums = []
    for count in (1, 2, 3, 4):
        made = CompiledChecksum()
        made.add(memory, np.arange(count))
        sums.append(made.hexdigest())
    assert len(set(sums)) == 4


def test_workers_with_and_without_numba_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = KvPool.create(KvShape(layers=2, kv_heads=2, head_dim=16, block_tokens=16, dtype="float32"), 8)
    pool_rows(pool)[:] = np.random.default_rng(1).integers(0, 256, pool_rows(pool).shape, np.uint8)
    assert isinstance(checksum.checksum(pool.shape.row_bytes), CompiledChecksum)
    by_kernel = digest(pool, (5, 1, 2))
    monkeypatch.setattr(checksum, "find_spec", lambda name: None)
    assert isinstance(checksum.checksum(pool.shape.row_bytes), LibraryChecksum)
    assert digest(pool, (5, 1, 2)) == by_kernel


def test_odd_rows_are_left_to_the_library() -> None:
    assert isinstance(checksum.checksum(512), LibraryChecksum)


def test_warming_up_leaves_the_pool_as_it_was() -> None:
    pool = KvPool.create(KvShape(layers=1, kv_heads=2, head_dim=16, block_tokens=16, dtype="float32"), 3)
    rows = pool_rows(pool)
    rows[:] = np.random.default_rng(2).integers(0, 256, rows.shape, np.uint8)
    before = rows.copy()
    checksum.warm_up(pool)
    assert (rows == before).all()


@pytest.mark.parametrize("blocks", [(0, -1), (2, 8)])
def test_blocks_beyond_the_pool_are_no_blocks(blocks: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        row_numbers(2, 8, blocks)
