"""How the KV of a request gets from one worker's pool into another's: the words all transports share.

Memory is addressed in rows. A row is the keys or the values of one layer in one block, and lies in one stretch:

    row = (layer x 2 + k or v) x blocks of the pool + block

A tray is one request's rows in the order (layer, k or v, block). It travels in pieces; a piece is some of its rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import TransportFailed
from engine.live.kv import KvPool
from engine.live.shape import KvShape

PIECE_BYTES = 1 << 20  # no piece is larger, unless a single row is; copied and summed up, it stays in the cache
RUN_BYTES = 1 << 16  # rows that lie side by side at both ends for so long are worth a copy of their own

Rows = NDArray[np.int64]
Bytes = NDArray[np.uint8]


class Piece(NamedTuple):
    """Rows `source` of the sender's pool `memory`, to become rows `target` of the receiver's.

    `run`: they lie side by side at both ends, so that their bytes can be had without a copy.
    `buffer` is for such a copy, and shared by all pieces.
    """

    request: str
    memory: Bytes
    source: Rows
    target: Rows
    buffer: Bytes
    run: bool = False

    @property
    def place(self) -> slice | Rows:
        """`target` as NumPy writes to it fastest."""
        return slice(self.target[0], self.target[-1] + 1) if self.run else self.target

    @property
    def payload(self) -> Bytes:
        """What is in the rows: the pool itself, or a copy of them, good until the next."""
        if self.run:
            return self.memory[self.source[0] : self.source[-1] + 1]
        return np.take(self.memory, self.source, axis=0, out=self.buffer[: len(self.source)], mode="clip")


class Path(Protocol):
    """A way into one other worker's pool. For one thread; any call may raise TransportFailed."""

    blocks: int  # of the other worker's pool

    def write(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Bytes]]:
        """Send pieces, and yield each with its payload when it is sent; it may still be on its way then."""

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


def pool_rows(pool: KvPool) -> Bytes:
    """The pool's memory as [row, byte]; NumPy because it gathers and scatters such rows at the speed of memcpy."""
    return np.frombuffer(pool.memory, np.uint8).reshape(pool.shape.layers * 2 * pool.blocks, -1)


def tray_rows(shape: KvShape, pool_blocks: int, blocks: Sequence[int]) -> Rows:
    """The rows of a tray that lies in `blocks` of a pool of `pool_blocks`, in the tray's order."""
    planes = np.arange(shape.layers * 2, dtype=np.int64) * pool_blocks
    return (planes[:, None] + np.asarray(blocks, np.int64)).reshape(-1)


def pieces(request: str, memory: Bytes, source: Rows, target: Rows, buffer: Bytes) -> Iterator[Piece]:
    """Some rows of a tray, cut up. Blocks that were free side by side make runs, copied at memcpy's rate from where
    they lie. Where runs are short, rows are gathered: a call for each of them would cost more than a second copy.
    """
    breaks = np.flatnonzero((np.diff(source) != 1) | (np.diff(target) != 1)) + 1
    run = source.size * memory.shape[1] >= RUN_BYTES * (breaks.size + 1)
    edges = [0, *(breaks.tolist() if run else ()), source.size]
    for begin, end in pairwise(edges):
        for first in range(begin, end, len(buffer)):
            rows = slice(first, min(first + len(buffer), end))
            yield Piece(request, memory, source[rows], target[rows], buffer, run)


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
