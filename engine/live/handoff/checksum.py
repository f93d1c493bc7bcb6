"""The checksum of a tray: xxh3-64 over its bytes in the order (layer, k or v, block), the same on both sides.

NumPy gathers the rows in a buffer small enough to stay in the CPU's cache, so the copy and the checksum read memory
once between them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import xxhash

from engine.live.compute.kv import Bytes, KvPool, Rows, pool_rows, row_numbers

BUFFER_BYTES = 5 << 17  # fits a cache of 1 MiB with room to spare


class Checksum:
    """Of rows of `memory`, [row, byte], in the order in which they are added. Row numbers must lie within it."""

    def __init__(self, row_bytes: int) -> None:
        self._sum = xxhash.xxh3_64()
        self._buffer = np.empty((max(1, BUFFER_BYTES // row_bytes), row_bytes), np.uint8)

    def add(self, memory: Bytes, rows: Rows) -> None:
        for _, gathered in self._gather(memory, rows):
            self._sum.update(gathered.data)

    def add_and_copy(self, memory: Bytes, rows: Rows, into: Bytes, places: Rows) -> None:
        """Add `rows`, and copy them to the rows `places` of `into`, one for one."""
        for those, gathered in self._gather(memory, rows):
            into[places[those]] = gathered
            self._sum.update(gathered.data)

    def hexdigest(self) -> str:
        """Of everything added so far: 16 hexadecimal digits."""
        return self._sum.hexdigest()

    def _gather(self, memory: Bytes, rows: Rows) -> Iterator[tuple[slice, Bytes]]:
        most = len(self._buffer)
        for first in range(0, len(rows), most):
            those = slice(first, first + most)
            some = rows[those]
            # any other mode has NumPy copy through a buffer of its own
            yield those, np.take(memory, some, axis=0, out=self._buffer[: len(some)], mode="clip")


def digest(pool: KvPool, blocks: Sequence[int]) -> str:
    """The checksum of the tray that lies in `blocks`, as 16 hexadecimal digits."""
    memory = pool_rows(pool)
    made = Checksum(memory.shape[1])
    made.add(memory, row_numbers(2 * pool.shape.layers, pool.blocks, blocks))
    return made.hexdigest()
