"""What all transports share: paths from one worker's KV pool into another's, and who may write where.

A pool consists of planes, and a plane of blocks. A plane is the keys or the values of one layer; a block of a plane is
a row, contiguous in memory. A tray is one request's blocks of all planes, in the order (plane, block). It travels in
segments.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import TransportFailed
from engine.live.compute.kv import Memory, Rows
from engine.live.handoff.checksum import Checksum
from engine.live.model.shape import KvShape

PACED_BYTES = 1 << 19  # `Path.paced_bytes` of the host's memory
TOLD_EVERY_S = 0.05  # `Path.told_every_s` of the host's memory


class Segment(NamedTuple):
    """Copy rows `source` of the sender's pool `memory` to rows `target` of the receiver's, one for one."""

    request: str
    memory: Memory
    source: Rows
    target: Rows


class Path(Protocol):
    """A way into one other worker's pool. Not thread-safe; any call may raise TransportFailed."""

    blocks: int  # of the other worker's pool
    piece_bytes: int  # the most in one segment, unless a row is larger
    paced_bytes: int  # the most that goes at once where a link sets the pace: a tray is late by its last piece's time
    told_every_s: float  # how often it pays to wait for what was written, to say so

    def write(self, piece: Segment, checksum: Checksum) -> None:
        """Send the segment and add its bytes to the checksum. It may land later."""

    def flush(self) -> None:
        """Return once everything written has landed in the receiver's memory."""

    def close(self) -> None: ...


class Transport(Protocol):
    """One worker's end of one transport: how others reach its pool, and how it reaches theirs."""

    @property
    def endpoint(self) -> bytes:
        """What others need to `connect` to it."""

    def connect(self, endpoint: bytes) -> Path: ...

    def close(self) -> None: ...


class KvEndpoint(msgspec.Struct, frozen=True):
    """What a sender must know of a receiver. Each transport adds an address of its own."""

    shape: KvShape
    blocks: int


E = TypeVar("E", bound=KvEndpoint)


def read_endpoint(endpoint: bytes, kind: type[E], mine: KvShape) -> E:
    """Decode an endpoint. Raises TransportFailed unless it is of this kind, with KV laid out as `mine` is."""
    try:
        theirs = msgspec.msgpack.decode(endpoint, type=kind)
    except msgspec.MsgspecError as error:
        raise TransportFailed(f"The endpoint is not a {kind.__name__}: {error}.") from error
    if theirs.shape != mine:
        raise TransportFailed(f"The workers' KV differs: {mine} here, {theirs.shape} there.")
    return theirs


class Grants:
    """Which blocks of a pool other workers may write now, and for which request.

    Bytes may sit in a socket's buffer long after their request is gone and its blocks belong to another.
    """

    def __init__(self, pool_blocks: int) -> None:
        self._pool_blocks = pool_blocks
        self._granted: dict[str, NDArray[np.bool_]] = {}
        self._lock = Lock()

    def grant(self, request: str, blocks: Sequence[int]) -> None:
        granted = np.zeros(self._pool_blocks, np.bool_)
        granted[np.asarray(blocks, np.int64)] = True
        with self._lock:
            self._granted[request] = granted

    def revoke(self, request: str) -> None:
        """When this returns, nothing more is written for the request."""
        with self._lock:
            self._granted.pop(request, None)

    @contextmanager
    def writing(self, request: str, rows: Rows) -> Iterator[bool]:
        """Whether `rows` may be written for `request`; `revoke` waits until this context ends."""
        with self._lock:
            granted = self._granted.get(request)
            yield granted is not None and bool(granted[rows % self._pool_blocks].all())
