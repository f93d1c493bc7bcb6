"""The checksum of a tray: xxh3-64 over its bytes in the order (layer, k or v, block), the same on both sides.

Where numba is, one compiled loop reads rows where they lie, and copies them on the way if asked to. Elsewhere NumPy
gathers them in a buffer that stays in the cache, and xxhash's library sums that. Both come to the same.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Protocol

import numpy as np
import xxhash

from engine.live.compute.kv import Bytes, KvPool, Rows, pool_rows, row_numbers

COMPILED_BYTES = 1024  # the compiled loop takes rows that are a multiple of this
CACHED_BYTES = 5 << 17  # that are still in a cache of 1 MiB when they are summed up


class Checksum(Protocol):
    """Of rows of `memory`, [row, byte], in the order in which they are added."""

    def add(self, memory: Bytes, rows: Rows) -> None: ...

    def add_and_copy(self, memory: Bytes, rows: Rows, into: Bytes, places: Rows) -> None:
        """Rows become `places` of `into`, one for one."""

    def hexdigest(self) -> str: ...


def checksum(row_bytes: int) -> Checksum:
    """A new one."""
    if row_bytes % COMPILED_BYTES or find_spec("numba") is None:
        return LibraryChecksum(row_bytes)
    from engine.live.compute.kernels.checksum import CompiledChecksum

    return CompiledChecksum()


class LibraryChecksum:
    def __init__(self, row_bytes: int) -> None:
        self._sum = xxhash.xxh3_64()
        self._buffer = np.empty((max(1, CACHED_BYTES // row_bytes), row_bytes), np.uint8)

    def add(self, memory: Bytes, rows: Rows) -> None:
        for _, gathered in self._gather(memory, rows):
            self._sum.update(gathered.data)

    def add_and_copy(self, memory: Bytes, rows: Rows, into: Bytes, places: Rows) -> None:
        for those, gathered in self._gather(memory, rows):
            into[places[those]] = gathered
            self._sum.update(gathered.data)

    def hexdigest(self) -> str:
        return self._sum.hexdigest()

    def _gather(self, memory: Bytes, rows: Rows) -> Iterator[tuple[slice, Bytes]]:
        most = len(self._buffer)
        for first in range(0, len(rows), most):
            those = slice(first, first + most)
            some = rows[those]
            yield those, np.take(memory, some, axis=0, out=self._buffer[: len(some)], mode="clip")


def digest(pool: KvPool, blocks: Sequence[int]) -> str:
    """Of the tray that lies in `blocks`."""
    memory = pool_rows(pool)
    made = checksum(memory.shape[1])
    made.add(memory, row_numbers(2 * pool.shape.layers, pool.blocks, blocks))
    return made.hexdigest()


def warm_up(pool: KvPool) -> None:
    """Compile what there is to compile before a tray waits for it. The pool is as it was."""
    memory, first = pool_rows(pool), np.zeros(1, np.int64)
    made = checksum(memory.shape[1])
    made.add(memory, first)
    made.add_and_copy(memory, first, memory, first)
