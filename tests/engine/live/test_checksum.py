"""A tray's checksum is xxh3-64 of its bytes, or a device's own; what is copied on the way is what was summed."""

from unittest import mock

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given, strategies as st

from engine.live.compute.kv import Bytes, DevicePool, KvPool, Rows, pool_rows, row_numbers
from engine.live.compute.stand_in import StandIn
from engine.live.handoff import checksum, device_checksum
from engine.live.handoff.checksum import HostChecksum, digest
from engine.live.handoff.device_checksum import DeviceChecksum
from engine.live.model.shape import KvShape

ROW_BYTES = 3 * 1024
ROWS = np.array([7, 2, 3, 11, 0, 2])
PLACES = np.array([1, 5, 4, 0, 8, 2])


@pytest.fixture
def memory() -> Bytes:
    return np.random.default_rng(0).integers(0, 256, (12, ROW_BYTES), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_it_is_xxh3_of_the_rows_in_their_order(count: int, memory: Bytes) -> None:
    made = HostChecksum(ROW_BYTES)
    made.add(memory, ROWS[:count])
    assert made.hexdigest() == xxhash.xxh3_64(memory[ROWS[:count]].tobytes()).hexdigest()


def test_rows_that_are_copied_count_as_those_that_are_read(memory: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "PIECE_BYTES", 2 * ROW_BYTES)  # so the rows take three rounds
    made, into = HostChecksum(ROW_BYTES), np.zeros((9, ROW_BYTES), np.uint8)
    made.add(memory, ROWS[:1])
    made.add_and_copy(memory, ROWS[1:], into, PLACES[1:])
    made.hexdigest()  # asking changes nothing
    made.add(memory, ROWS)
    assert made.hexdigest() == xxhash.xxh3_64(memory[[*ROWS, *ROWS]].tobytes()).hexdigest()
    expected = np.zeros_like(into)
    expected[PLACES[1:]] = memory[ROWS[1:]]
    assert (into == expected).all()


@pytest.mark.parametrize("run_rows", [1, 1000], ids=["as slices", "gathered"])
@given(data=st.data())
def test_runs_of_rows_make_no_difference(run_rows: int, data: st.DataObject) -> None:
    """What lies together is read in place, what is scattered through a buffer: the same sum and the same copy."""
    memory = np.random.default_rng(0).integers(0, 256, (40, 64), np.uint8)
    starts = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=4)
    rows = np.array([row for start, count in data.draw(starts) for row in range(start, start + count)], np.int64)
    places = np.array(data.draw(st.permutations(range(40))) if data.draw(st.booleans()) else range(40))[: len(rows)]
    into, expected = np.zeros((2, 40, 64), np.uint8)
    expected[places] = memory[rows]
    with mock.patch.multiple(checksum, PIECE_BYTES=3 * 64, RUN_ROWS=run_rows):
        made = HostChecksum(64)
        made.add_and_copy(memory, rows, into, places)
        made.add(memory, rows)
    assert made.hexdigest() == xxhash.xxh3_64(memory[[*rows, *rows]].tobytes()).hexdigest()
    assert (into == expected).all()


@pytest.mark.parametrize("byte", [0, ROW_BYTES - 1])
@pytest.mark.parametrize("block", [5, 1, 2])
def test_one_bit_makes_another_digest(block: int, byte: int) -> None:
    pool = KvPool.create(KvShape(layers=2, kv_heads=2, head_dim=24, block_tokens=16, dtype="float32"), 8)
    rows = pool_rows(pool)
    assert rows.shape[1] == ROW_BYTES
    rows[:] = np.random.default_rng(1).integers(0, 256, rows.shape, np.uint8)
    before = digest(pool, (5, 1, 2))
    rows[3 * pool.blocks + block, byte] ^= 1  # in the last layer's values
    assert digest(pool, (5, 1, 2)) != before
    rows[3 * pool.blocks + block, byte] ^= 1
    rows[6] ^= 1  # a block of another tray
    assert digest(pool, (5, 1, 2)) == before


def test_zeros_are_told_apart_by_their_length() -> None:
    pool = KvPool.create(KvShape(layers=1, kv_heads=2, head_dim=16, block_tokens=16, dtype="float32"), 4)
    assert len({digest(pool, range(count)) for count in (1, 2, 3, 4)}) == 4


@pytest.mark.parametrize("blocks", [(0, -1), (2, 8)])
def test_blocks_beyond_the_pool_are_no_blocks(blocks: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        row_numbers(2, 8, blocks)


# ---- on a device

WORDS = ROW_BYTES // 8
EVERY = np.arange(12)


@pytest.fixture
def device() -> StandIn:
    device = StandIn()
    device.enter()
    return device


def device_sum(device: StandIn, memory: torch.Tensor, rows: Rows = EVERY) -> str:
    made = DeviceChecksum(device, 8 * memory.shape[1])
    made.add(memory, rows)
    return made.hexdigest()


def test_a_device_s_sum_is_what_it_says_it_is(device: StandIn, memory: Bytes) -> None:
    words = memory.view(np.int64)
    of = {name: getattr(device_checksum, f"OF_{name}") for name in ("WEIGHTS", "KEYS", "LENGTHS")}
    weights, keys = (device_checksum._odd(of[name], WORDS).tolist() for name in ("WEIGHTS", "KEYS"))
    total = sum(
        key * sum(weight * word for weight, word in zip(weights, words[row].tolist(), strict=True))
        for key, row in zip(keys, ROWS, strict=False)
    )
    total += int(device_checksum._odd(of["LENGTHS"] + len(ROWS), 1)[0])
    assert device_sum(device, torch.from_numpy(words), ROWS) == f"{total % 2**64:016x}"
    assert len({*weights, *keys}) == len(weights) + len(keys)
    assert all(number % 2 for number in (*weights, *keys))


def test_a_device_copies_what_it_sums_in_pieces_of_any_size(
    device: StandIn, memory: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = torch.from_numpy(memory.view(np.int64))
    whole = device_sum(device, words, ROWS)
    monkeypatch.setattr(device_checksum, "PIECE_BYTES", 2 * ROW_BYTES)
    made, into = DeviceChecksum(device, ROW_BYTES), torch.zeros(9, WORDS, dtype=torch.int64)
    made.add(words, ROWS[:1])
    made.add_and_copy(words, ROWS[1:], into, PLACES[1:])
    assert made.hexdigest() == made.hexdigest() == whole
    expected = torch.zeros_like(into)
    expected[PLACES[1:]] = words[ROWS[1:]]
    assert torch.equal(into, expected)


@given(data=st.data())
def test_a_device_s_sum_sees_every_change(data: st.DataObject) -> None:
    device = StandIn()
    device.enter()
    memory = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 256, (12, ROW_BYTES), np.uint8)
    before = device_sum(device, torch.from_numpy(memory.view(np.int64)))
    row, byte = data.draw(st.integers(0, 11)), data.draw(st.integers(0, ROW_BYTES - 1))
    match data.draw(st.sampled_from(["flip", "swap", "roll", "zero"])):
        case "flip":
            memory[row, byte] ^= 1 << data.draw(st.integers(0, 7))
        case "swap":
            memory[[row, (row + 1) % 12]] = memory[[(row + 1) % 12, row]]
        case "roll":
            memory[row] = np.roll(memory[row], 8 * data.draw(st.integers(1, WORDS - 1)))
        case "zero":
            memory[row] = 0
    assert device_sum(device, torch.from_numpy(memory.view(np.int64))) != before


def test_a_device_tells_zeros_apart_by_their_length(device: StandIn) -> None:
    pool = DevicePool(KvShape(layers=1, kv_heads=2, head_dim=16, block_tokens=16, dtype="float32"), 4, device)
    assert len({digest(pool, range(count)) for count in (1, 2, 3, 4)}) == 4
    before = digest(pool, (2, 1))
    pool.flip(1)
    assert digest(pool, (2, 1)) != before
