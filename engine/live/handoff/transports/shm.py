"""Shared memory: the sender maps the receiver's pool and writes into it, one-sided, as RDMA does.

The receiver takes no part, so it cannot refuse; whoever frees blocks must have stopped the sender first.
"""

import os

import msgspec

from engine.errors import TransportFailed
from engine.live.compute.kv import KvPool, pool_rows
from engine.live.handoff.checksum import Checksum
from engine.live.handoff.transport import Endpoint, Path, Piece, read_endpoint


class ShmEndpoint(Endpoint, frozen=True, tag="shm"):
    path: str


class Shm:
    def __init__(self, pool: KvPool) -> None:
        self._shape = pool.shape
        self.endpoint = msgspec.msgpack.encode(ShmEndpoint(pool.shape, pool.blocks, pool.path))

    def connect(self, endpoint: bytes) -> Path:
        return ShmPath(read_endpoint(endpoint, ShmEndpoint, self._shape))

    def close(self) -> None:
        """Nothing is held: the memory goes with the pool."""


class ShmPath:
    piece_bytes = 1 << 21  # a fraction of a millisecond

    def __init__(self, theirs: ShmEndpoint) -> None:
        self.blocks = theirs.blocks
        self._path = theirs.path
        try:
            self._file = _file(theirs.path)
            self._pool = KvPool.attach(theirs.shape, theirs.blocks, theirs.path)
        except (OSError, ValueError) as error:  # ValueError: the file is smaller than the pool should be
            raise TransportFailed(f"The receiver's memory cannot be mapped: {error}.") from error
        self._rows = pool_rows(self._pool)

    def write(self, piece: Piece, checksum: Checksum) -> None:
        checksum.add_and_copy(piece.memory, piece.source, self._rows, piece.target)

    def flush(self) -> None:
        """A copy has landed when it is made. But memory we map outlives its owner: ask whether it is still there."""
        try:
            alive = _file(self._path) == self._file
        except OSError:
            alive = False
        if not alive:
            raise TransportFailed("The receiver is gone; its memory is no longer there.")

    def close(self) -> None:
        """The mapping goes with the last reference to it."""


def _file(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
