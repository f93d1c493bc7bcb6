"""One worker's KV pool: the tensor behind the blocks, in memory that another process can map.

    tensor[layer, k or v, slot, kv head, dim]      slot = block * block_tokens + offset in the block

A sender maps the receiver's pool and writes into it, one-sided, as RDMA does. The memory has no name on disk
(memfd), so nothing is left behind when its last holder ends, however it ends.
"""

import mmap
import os
import tempfile
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.live.model.shape import KvShape

Rows = NDArray[np.int64]
Bytes = NDArray[np.uint8]


class KvPool:
    """`blocks` blocks of KV. Make one with `create`, or map another process's with `attach`."""

    def __init__(self, shape: KvShape, blocks: int, fd: int, path: str) -> None:
        self.shape = shape
        self.blocks = blocks
        self.path = path
        self.nbytes = shape.tray_bytes(blocks)
        self.memory = mmap.mmap(fd, self.nbytes)
        slots = blocks * shape.block_tokens
        self.tensor = torch.frombuffer(self.memory, dtype=getattr(torch, shape.dtype)).view(
            shape.layers, 2, slots, shape.kv_heads, shape.head_dim
        )

    @classmethod
    def create(cls, shape: KvShape, blocks: int) -> "KvPool":
        """A new pool, zeroed, whose `path` other processes of this user on this machine can `attach`."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("kv-pool")
            path = f"/proc/{os.getpid()}/fd/{fd}"
        else:  # not Linux: a file that the operating system clears with the temporary folder
            fd, path = tempfile.mkstemp(prefix="kv-pool-")
        os.ftruncate(fd, shape.tray_bytes(blocks))
        return cls(shape, blocks, fd, path)

    @classmethod
    def attach(cls, shape: KvShape, blocks: int, path: str) -> "KvPool":
        """Map the pool at `path`. Raises OSError if its owner is gone."""
        fd = os.open(path, os.O_RDWR)
        try:
            return cls(shape, blocks, fd, path)
        finally:
            os.close(fd)

    def by_block(self) -> torch.Tensor:
        """The same memory as [layer, k or v, block, block_tokens x kv heads x dim]."""
        return self.tensor.view(self.shape.layers, 2, self.blocks, -1)


def pool_rows(pool: KvPool) -> Bytes:
    """The pool's memory as [row, byte]. A row is one block's keys or values of one layer."""
    return np.frombuffer(pool.memory, np.uint8).reshape(-1, pool.shape.row_bytes)


def row_numbers(planes: int, pool_blocks: int, blocks: Sequence[int]) -> Rows:
    """Row numbers of the tray in these blocks, ordered by (plane, block). A plane: keys or values of one layer."""
    of_plane: Rows = np.asarray(blocks, np.int64)
    assert of_plane.min(initial=0) >= 0, "blocks are counted from 0"
    assert of_plane.max(initial=0) < pool_blocks, "blocks beyond the pool are other memory"
    return np.add.outer(np.arange(planes) * pool_blocks, of_plane).reshape(-1)
