"""The checksum of a tray: xxh3-64 over its bytes in the order (layer, k or v, block), the same on both sides.

Memory is read once for the copy and the checksum: piece by piece, each small enough to stay in the CPU's cache.
A device has a checksum of its own: `engine.live.handoff.device_checksum`.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import xxhash

from engine.live.compute.kv import Bytes, Memory, Pool, Rows, pool_rows, row_numbers
from engine.live.compute.place import is_device
from engine.live.handoff.device_checksum import DeviceChecksum

PIECE_BYTES = 5 << 17  # fits a cache of 1 MiB with room to spare
RUN_ROWS = 8  # rows that follow each other in memory; from this average on, slices cost less than gathering


class Checksum(Protocol):
    """Of rows of `memory`, in the order in which they are added."""

    def add(self, memory: Memory, rows: Rows) -> None:
        """Add `rows`, int [n]."""

    def add_and_copy(self, memory: Memory, rows: Rows, into: Memory, places: Rows) -> None:
        """Add `rows`, int [n], and copy them to the rows `places`, int [n], of `into`, one for one."""

    def hexdigest(self) -> str:
        """Of everything added so far: 16 hexadecimal digits."""


def checksum(pool: Pool) -> Checksum:
    """A new one for rows of this pool."""
    place, row_bytes = pool.place, pool.shape.row_bytes
    return DeviceChecksum(place, row_bytes) if is_device(place) else HostChecksum(row_bytes)


class HostChecksum:
    """Of rows of `memory`, [row, byte], in the order in which they are added. Row numbers must lie within it."""

    def __init__(self, row_bytes: int) -> None:
        self._sum = xxhash.xxh3_64()
        self._buffer = np.empty((max(1, PIECE_BYTES // row_bytes), row_bytes), np.uint8)

    def add(self, memory: Bytes, rows: Rows) -> None:
        """Add `rows`, int [n]."""
        for _, piece in self._pieces(memory, rows, rows):
            self._sum.update(piece.data)

    def add_and_copy(self, memory: Bytes, rows: Rows, into: Bytes, places: Rows) -> None:
        """Add `rows`, int [n], and copy them to the rows `places`, int [n], of `into`, one for one."""
        for where, piece in self._pieces(memory, rows, places):
            into[where] = piece
            self._sum.update(piece.data)

    def hexdigest(self) -> str:
        """Of everything added so far: 16 hexadecimal digits."""
        return self._sum.hexdigest()

    def _pieces(self, memory: Bytes, rows: Rows, places: Rows) -> Iterator[tuple[Rows | slice, Bytes]]:
        """The rows in order, some at a time, each time with their places."""
        most = len(self._buffer)
        runs = _runs(rows, places)
        if len(rows) >= RUN_ROWS * len(runs):
            for start, end in runs:
                for first in range(start, end, most):
                    row, place, count = int(rows[first]), int(places[first]), min(most, end - first)
                    yield slice(place, place + count), memory[row : row + count]
            return
        for first in range(0, len(rows), most):
            some = rows[first : first + most]
            # any other mode has NumPy copy through a buffer of its own
            gathered = np.take(memory, some, axis=0, out=self._buffer[: len(some)], mode="clip")
            yield places[first : first + most], gathered


def _runs(rows: Rows, places: Rows) -> list[tuple[int, int]]:
    """From where to where both count up by one."""
    if not len(rows):
        return []
    ends = np.flatnonzero((np.diff(rows) != 1) | (np.diff(places) != 1)) + 1
    cuts = [0, *ends.tolist(), len(rows)]
    return list(pairwise(cuts))


def digest(pool: Pool, blocks: Sequence[int]) -> str:
    """The checksum of the tray that lies in `blocks`, as 16 hexadecimal digits."""
    made = checksum(pool)
    made.add(pool_rows(pool), row_numbers(2 * pool.shape.layers, pool.blocks, blocks))
    return made.hexdigest()
