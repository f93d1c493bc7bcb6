"""How the KV of a request gets from one worker's pool into another's: the words all transports share.

A pool is planes of blocks. A plane is the keys or the values of one layer; a block of a plane, a row, lies in one
stretch. A tray is one request's blocks of all planes, in the order (plane, block). It travels in pieces.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import TransportFailed
from engine.live.kv import KvPool
from engine.live.shape import KvShape

PIECE_BYTES = 5 << 17  # no piece is larger, unless a row is; when it is summed up it is still in a cache of 1 MiB
RUN_BYTES = 1 << 16  # blocks of a plane that lie side by side at both ends for so long are worth a copy of their own

Blocks = NDArray[np.int64]
Rows = NDArray[np.int64]  # plane x blocks of the pool + block
Bytes = NDArray[np.uint8]


class Piece(NamedTuple):
    """Blocks `source` of some planes of the sender's pool `memory`, to become blocks `target` of the receiver's.

    Slices: they lie side by side at both ends, so that their bytes can be had without a copy.
    `buffer` is for such a copy, and shared by all pieces.
    """

    request: str
    memory: Bytes
    planes: slice
    source: slice | Blocks
    target: slice | Blocks
    buffer: Bytes

    @property
    def payload(self) -> Bytes:
        """[plane, block, byte]: the pool itself, or a copy of it, good until the next. Each plane in one stretch."""
        planes = self.memory[self.planes]
        if isinstance(self.source, slice):
            return planes[:, self.source]
        copy = self.buffer[: len(planes) * len(self.source)].reshape(len(planes), len(self.source), -1)
        return np.take(planes, self.source, axis=1, out=copy, mode="clip")


class Path(Protocol):
    """A way into one other worker's pool. For one thread; any call may raise TransportFailed."""

    blocks: int  # of the other worker's pool

    def write(self, pieces: Iterable[Piece]) -> Iterator[Bytes]:
        """Send pieces, and yield each one's payload when it is sent; it may still be on its way then."""

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


def pool_planes(pool: KvPool) -> Bytes:
    """The pool's memory as [plane, block, byte]; NumPy because it copies such blocks at the speed of memcpy."""
    return np.frombuffer(pool.memory, np.uint8).reshape(pool.shape.layers * 2, pool.blocks, -1)


def pool_rows(pool: KvPool) -> Bytes:
    """The same as [row, byte], for a road on which rows travel with their numbers."""
    return pool_planes(pool).reshape(pool.shape.layers * 2 * pool.blocks, -1)


def row_numbers(planes: slice, blocks: slice | Blocks, pool_blocks: int) -> Rows:
    """Of these blocks of these planes, in a tray's order."""
    one_plane: Blocks = np.arange(blocks.start, blocks.stop) if isinstance(blocks, slice) else blocks
    firsts: Rows = np.arange(planes.start, planes.stop) * pool_blocks
    return np.add.outer(firsts, one_plane).reshape(-1)


def pieces(request: str, memory: Bytes, source: Blocks, target: Blocks, rows: range, buffer: Bytes) -> list[Piece]:
    """Some rows of a tray, cut up: no piece has more than `buffer`. All at once, before copies empty the cache.

    Blocks that were free side by side make runs, copied at memcpy's rate from where they lie. Where runs are short,
    rows are gathered: a call for each of them would cost more than a second copy.
    """
    count, most = len(source), len(buffer)
    breaks = np.flatnonzero((np.diff(source) != 1) | (np.diff(target) != 1)) + 1
    in_runs = not breaks.size or count * memory.shape[2] >= RUN_BYTES * (breaks.size + 1)
    ends = [*breaks.tolist(), count] if in_runs else [count]
    heres, theres = (source.tolist(), target.tolist()) if in_runs else ((), ())
    cut: list[Piece] = []
    at = rows.start
    while at < rows.stop:
        plane, block = divmod(at, count)
        room = min(most, rows.stop - at)
        end = min(block + room, ends[bisect_right(ends, block)])
        size = end - block
        planes = room // count if size == count else 1
        if in_runs:
            here, there = heres[block], theres[block]
            stretch = slice(here, here + size), slice(there, there + size)
            cut.append(Piece(request, memory, slice(plane, plane + planes), *stretch, buffer))
        else:
            gathered = source[block:end], target[block:end]
            cut.append(Piece(request, memory, slice(plane, plane + planes), *gathered, buffer))
        at += planes * size
    return cut


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
