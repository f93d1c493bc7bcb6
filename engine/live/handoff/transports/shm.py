"""Shared memory: the sender maps the receiver's pool and writes into it, one-sided, as RDMA does.

The receiver takes no part and cannot refuse, so the sender must be stopped before blocks are freed.
"""

import msgspec

from engine.errors import TransportFailed
from engine.live.compute import memfd
from engine.live.compute.kv import KvPool, pool_rows
from engine.live.handoff.checksum import Checksum
from engine.live.handoff.transport import PACED_BYTES, TOLD_EVERY_S, KvEndpoint, Path, Segment, read_endpoint


class ShmEndpoint(KvEndpoint, frozen=True, tag="shm"):
    """The path under which this host's processes can map the pool."""

    path: str


class Shm:
    """Shared memory: the sender maps the receiver's pool and copies into it."""

    def __init__(self, pool: KvPool) -> None:
        self._shape = pool.shape
        self.endpoint = msgspec.msgpack.encode(ShmEndpoint(pool.shape, pool.blocks, pool.path))

    def connect(self, endpoint: bytes) -> Path:
        return ShmPath(read_endpoint(endpoint, ShmEndpoint, self._shape))

    def close(self) -> None:
        """Nothing to close: the memory is the pool's."""


class ShmPath:
    """Another worker's pool, mapped into this process."""

    piece_bytes = 1 << 21  # a fraction of a millisecond
    paced_bytes = PACED_BYTES
    told_every_s = TOLD_EVERY_S

    def __init__(self, theirs: ShmEndpoint) -> None:
        self.blocks = theirs.blocks
        self._path = theirs.path
        try:
            self._file = memfd.identity(theirs.path)
            self._pool = KvPool.attach(theirs.shape, theirs.blocks, theirs.path)
        except (OSError, ValueError) as error:  # ValueError: the file is smaller than the pool should be
            raise TransportFailed(f"The receiver's memory cannot be mapped: {error}.") from error
        self._rows = pool_rows(self._pool)

    def write(self, piece: Segment, checksum: Checksum) -> None:
        checksum.add_and_copy(piece.memory, piece.source, self._rows, piece.target)

    def flush(self) -> None:
        """A copy has landed once it is made. But mapped memory outlives its owner, so check that the owner is there."""
        try:
            alive = memfd.identity(self._path) == self._file
        except OSError:
            alive = False
        if not alive:
            raise TransportFailed("The receiver is gone; its memory is no longer there.")

    def close(self) -> None:
        """The memory is unmapped with the last reference to this path."""
