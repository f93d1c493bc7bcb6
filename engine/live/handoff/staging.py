"""Rows on their way between a pool and a socket: one buffer in the host's memory, filled from either side."""

from typing import Protocol

import numpy as np
import torch

from engine.live.compute.kv import Bytes, DevicePool, KvPool, Pool, Rows, device_rows, pool_rows
from engine.live.handoff.checksum import Checksum
from engine.live.handoff.transport import PACED_BYTES, Segment

HOST_BYTES = 5 << 17  # small enough to stay in a cache of 1 MiB
DEVICE_BYTES = 1 << 22  # a device copies a little as slowly as this much


class Staging(Protocol):
    """The `buffer` is [row, byte]. `paced_bytes`: as `Path.paced_bytes`."""

    buffer: Bytes
    paced_bytes: int

    def load(self, piece: Segment, checksum: Checksum) -> Bytes:
        """The segment's rows, copied into the buffer and added to the checksum."""

    def land(self, rows: Rows) -> None:
        """Copy the first rows of the buffer to these rows of the pool. They lie there when this returns."""


def staging(pool: Pool) -> Staging:
    """A buffer for this pool, to be used by one thread."""
    return DeviceStaging(pool) if isinstance(pool, DevicePool) else HostStaging(pool)


class HostStaging:
    """NumPy copies between pool and buffer."""

    paced_bytes = PACED_BYTES

    def __init__(self, pool: KvPool) -> None:
        self._memory = pool_rows(pool)
        row_bytes = pool.shape.row_bytes
        self.buffer: Bytes = np.empty((max(1, HOST_BYTES // row_bytes), row_bytes), np.uint8)

    def load(self, piece: Segment, checksum: Checksum) -> Bytes:
        loaded = self.buffer[: len(piece.source)]
        checksum.add_and_copy(piece.memory, piece.source, loaded, np.arange(len(loaded)))
        return loaded

    def land(self, rows: Rows) -> None:
        self._memory[rows] = self.buffer[: len(rows)]


class DeviceStaging:
    """The device gathers rows beside each other, and copies them in one go."""

    paced_bytes = DEVICE_BYTES

    def __init__(self, pool: DevicePool) -> None:
        self._place, self._memory = pool.place, pool.rows
        row_bytes = pool.shape.row_bytes
        rows = max(1, DEVICE_BYTES // row_bytes)
        self._here = device_rows(pool.place.staging(rows * row_bytes), pool.shape)
        self._there = torch.empty_like(self._here, device=pool.place.device)
        self.buffer: Bytes = self._here.numpy().view(np.uint8)

    def load(self, piece: Segment, checksum: Checksum) -> Bytes:
        count = len(piece.source)
        checksum.add_and_copy(piece.memory, piece.source, self._there, np.arange(count))
        self._here[:count].copy_(self._there[:count], non_blocking=True)
        self._place.finish()
        return self.buffer[:count]

    def land(self, rows: Rows) -> None:
        there = self._there[: len(rows)].copy_(self._here[: len(rows)], non_blocking=True)
        self._memory.index_copy_(0, self._place.put(rows), there)
        self._place.finish()
