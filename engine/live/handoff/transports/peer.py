"""Shared memory between devices: the sender opens the receiver's pool and its own kernels write into it, one-sided.

What `engine.live.handoff.transports.shm` is between processes of the host. The receiver takes no part and cannot
refuse, so the sender must be stopped before blocks are freed.
"""

from collections import deque

import msgspec

from engine.errors import TransportFailed
from engine.live.compute import memfd
from engine.live.compute.kv import DevicePool, device_rows
from engine.live.compute.place import Device, Mark, Shared
from engine.live.handoff.checksum import Checksum
from engine.live.handoff.transport import KvEndpoint, Path, Segment, read_endpoint

IN_FLIGHT = 2  # pieces that a device may still have to write: more would only take memory


class PeerEndpoint(KvEndpoint, frozen=True, tag="peer"):
    """How this machine's processes open the pool."""

    pool: Shared


class Peer:
    """The door "shm" of a pool that is in a device's memory."""

    def __init__(self, pool: DevicePool) -> None:
        self._pool = pool

    @property
    def endpoint(self) -> bytes:
        return msgspec.msgpack.encode(PeerEndpoint(self._pool.shape, self._pool.blocks, self._pool.shared))

    def connect(self, endpoint: bytes) -> Path:
        return PeerPath(read_endpoint(endpoint, PeerEndpoint, self._pool.shape), self._pool.place)

    def close(self) -> None:
        """Nothing to close: the memory is the pool's."""


class PeerPath:
    """Another worker's pool, opened by this worker's device."""

    piece_bytes = 1 << 26  # less would cost more to launch than to copy
    paced_bytes = 1 << 25
    told_every_s = 0.005

    def __init__(self, theirs: PeerEndpoint, place: Device) -> None:
        self.blocks = theirs.blocks
        self._place = place
        self._owner = theirs.pool.owner
        self._marks: deque[Mark | None] = deque()
        try:
            self._life = memfd.identity(self._owner)
            self._rows = device_rows(place.open(theirs.pool), theirs.shape)
        except (OSError, RuntimeError) as error:  # RuntimeError: what CUDA says, in torch's words
            raise TransportFailed(f"The receiver's memory cannot be opened; tcp needs none: {error}.") from error

    def write(self, piece: Segment, checksum: Checksum) -> None:
        checksum.add_and_copy(piece.memory, piece.source, self._rows, piece.target)
        self._marks.append(self._place.mark())
        while len(self._marks) > IN_FLIGHT:
            if mark := self._marks.popleft():
                mark.wait()

    def flush(self) -> None:
        """The device's writes have landed once it is done. But the memory outlives its owner, so check for that."""
        self._place.finish()
        self._marks.clear()
        try:
            alive = memfd.identity(self._owner) == self._life
        except OSError:
            alive = False
        if not alive:
            raise TransportFailed("The receiver is gone; its memory is no longer there.")

    def close(self) -> None:
        """The memory is closed with the last reference to this path, and nothing may be on its way there then."""
        self._place.finish()
