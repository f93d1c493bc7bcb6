"""How the KV of a request gets from one worker's pool into another's: the words all transports share.

A pool is planes of blocks. A plane is the keys or the values of one layer; a block of a plane, a row, lies in one
stretch. A tray is one request's blocks of all planes, in the order (plane, block). It travels in pieces.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import TransportFailed
from engine.live.compute.kv import Bytes, Rows
from engine.live.handoff.checksum import Checksum
from engine.live.model.shape import KvShape


class Piece(NamedTuple):
    """Rows `source` of the sender's pool `memory`, to become rows `target` of the receiver's, one for one."""

    request: str
    memory: Bytes
    source: Rows
    target: Rows


class Path(Protocol):
    """A way into one other worker's pool. For one thread; any call may raise TransportFailed."""

    blocks: int  # of the other worker's pool
    piece_bytes: int  # that go at once at most, unless a row is larger

    def write(self, piece: Piece, checksum: Checksum) -> None:
        """Send it, and add it to the checksum. When this returns it may still be on its way."""

    def flush(self) -> None:
        """Return once everything written has landed in the receiver's memory."""

    def close(self) -> None: ...


class Transport(Protocol):
    """One worker's end of one kind of road: how others reach its pool, and how it reaches theirs."""

    endpoint: bytes

    def connect(self, endpoint: bytes) -> Path: ...

    def close(self) -> None: ...


class Endpoint(msgspec.Struct, frozen=True):
    """What a sender must know of a receiver, for every transport; each adds its own address."""

    shape: KvShape
    blocks: int


E = TypeVar("E", bound=Endpoint)


def read_endpoint(endpoint: bytes, kind: type[E], mine: KvShape) -> E:
    """The endpoint of a worker whose KV is laid out as `mine` is. Raises TransportFailed for any other."""
    try:
        theirs = msgspec.msgpack.decode(endpoint, type=kind)
    except msgspec.MsgspecError as error:
        raise TransportFailed(f"The endpoint is not a {kind.__name__}: {error}.") from error
    if theirs.shape != mine:
        raise TransportFailed(f"The workers' KV differs: {mine} here, {theirs.shape} there.")
    return theirs


class Grants:
    """Which blocks of a pool may be written from outside now, and for which request.

    Bytes may sit in a socket's buffer long after the request they belong to is gone and its blocks are another's.
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
        """Whether `rows` may be written for `request`; holds off `revoke` for as long as it is open."""
        with self._lock:
            granted = self._granted.get(request)
            yield granted is not None and bool(granted[rows % self._pool_blocks].all())
