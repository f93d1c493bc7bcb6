"""One worker's KV pool: the tensor behind the blocks, in memory that another process can open and write into.

    tensor[layer, k or v, slot, kv head, dim]      slot = block * block_tokens + offset in the block

A sender opens the receiver's pool and writes into it, one-sided, as RDMA does.
"""

from collections.abc import Sequence
from functools import cached_property
from mmap import mmap
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.live.compute import memfd
from engine.live.compute.place import HOST, Device, Place, Shared, is_device
from engine.live.model.shape import KvShape

Rows = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Memory = Any  # a pool as rows: `Bytes`, [row, byte], on the host; a tensor of int64, [row, word], on a device


class KvPool:
    """`blocks` blocks of KV on the host. Make one with `create`, or map another process's with `attach`."""

    place: Place = HOST

    def __init__(self, shape: KvShape, blocks: int, memory: mmap, path: str) -> None:
        self.shape = shape
        self.blocks = blocks
        self.path = path
        self.memory = memory
        self.nbytes = shape.tray_bytes(blocks)
        self.tensor = _tensor(torch.frombuffer(self.memory, dtype=getattr(torch, shape.dtype)), shape)

    @classmethod
    def create(cls, shape: KvShape, blocks: int) -> "KvPool":
        """A new pool, zeroed, whose `path` other processes of this user on this machine can `attach`."""
        return cls(shape, blocks, *memfd.create("kv-pool", shape.tray_bytes(blocks)))

    @classmethod
    def attach(cls, shape: KvShape, blocks: int, path: str) -> "KvPool":
        """Map the pool at `path`. Raises OSError if its owner is gone, ValueError if it is smaller than that."""
        return cls(shape, blocks, memfd.attach(path, shape.tray_bytes(blocks)), path)

    def by_block(self) -> torch.Tensor:
        """The same memory as [layer, k or v, block, block_tokens x kv heads x dim]."""
        return self.tensor.view(self.shape.layers, 2, self.blocks, -1)

    def flip(self, block: int) -> None:
        """Change one bit of a block's keys in layer 0."""
        self.memory[block * self.shape.row_bytes] ^= 1


class DevicePool:
    """`blocks` blocks of KV in a device's memory."""

    def __init__(self, shape: KvShape, blocks: int, place: Device) -> None:
        self.shape = shape
        self.blocks = blocks
        self.place = place
        memory, self._share = place.shareable_zeros(shape.tray_bytes(blocks))
        self.rows = device_rows(memory, shape)
        self.tensor = _tensor(memory.view(getattr(torch, shape.dtype)), shape)

    @cached_property
    def shared(self) -> Shared:
        """How other processes open it. Once that is asked, the memory lasts as long as this process."""
        return self._share()

    def by_block(self) -> torch.Tensor:
        """The same memory as [layer, k or v, block, block_tokens x kv heads x dim]."""
        return self.tensor.view(self.shape.layers, 2, self.blocks, -1)

    def flip(self, block: int) -> None:
        """Change one bit of a block's keys in layer 0."""
        self.rows[block, 0].bitwise_xor_(1)


Pool = KvPool | DevicePool


def pool_on(place: Place, shape: KvShape, blocks: int) -> Pool:
    """A new pool in this place, zeroed."""
    return DevicePool(shape, blocks, place) if is_device(place) else KvPool.create(shape, blocks)


def pool_rows(pool: Pool) -> Memory:
    """The pool's memory by rows. A row is one block's keys or values of one layer."""
    if isinstance(pool, DevicePool):
        return pool.rows
    return np.frombuffer(pool.memory, np.uint8).reshape(-1, pool.shape.row_bytes)


def device_rows(memory: torch.Tensor, shape: KvShape) -> torch.Tensor:
    """A device's memory, int64 [words], as [row, word]. Words of 8 bytes are copied and summed fastest."""
    return memory.view(-1, shape.row_bytes // 8)


def row_numbers(planes: int, pool_blocks: int, blocks: Sequence[int]) -> Rows:
    """Row numbers of the tray in these blocks, ordered by (plane, block). A plane: keys or values of one layer."""
    of_plane: Rows = np.asarray(blocks, np.int64)
    assert of_plane.min(initial=0) >= 0, "blocks are counted from 0"
    assert of_plane.max(initial=0) < pool_blocks, "blocks beyond the pool are other memory"
    return np.add.outer(np.arange(planes) * pool_blocks, of_plane).reshape(-1)


def _tensor(elements: torch.Tensor, shape: KvShape) -> torch.Tensor:
    return elements.view(shape.layers, 2, -1, shape.kv_heads, shape.head_dim)
