"""TCP: for workers that share no memory. The receiver reads segments from a socket and writes them into its own pool.

    sender                                  receiver
                                         <- 32 random bytes
    32 random bytes, proof of the key    ->
                                         <- proof of the key
    PoolHello                                -> Answer
    Write, then the rows' bytes          -> Answer, when they lie in the pool
    ...

Both sides prove that they know the key without sending it. What follows is neither encrypted nor signed, so this is
for a trusted network. A message is a length and MessagePack; decoding it cannot run code.
"""

import hmac
import secrets
import socket
import struct
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TypeVar

import msgspec
import numpy as np

from engine.errors import TransportFailed
from engine.live.compute.kv import Pool, Rows
from engine.live.handoff.checksum import Checksum
from engine.live.handoff.staging import Staging, staging
from engine.live.handoff.transport import (
    TOLD_EVERY_S,
    Grants,
    KvEndpoint,
    Path,
    Segment,
    read_endpoint,
)
from engine.live.model.shape import KvShape

PATIENCE_S = 10.0  # a peer that is silent for so long counts as gone
IN_FLIGHT = 2  # segments without an answer: one on the wire while the receiver copies the other
MESSAGE_BYTES = 1 << 17  # more than any header needs, and harmless if a stranger asks for it
LENGTH = struct.Struct("!I")
NONCE_BYTES = PROOF_BYTES = 32


class TcpEndpoint(KvEndpoint, frozen=True, tag="tcp"):
    """The address at which the receiver accepts connections."""

    host: str
    port: int


class PoolHello(msgspec.Struct, frozen=True, tag=True):
    """The receiver's first message: its pool's shape and size."""

    shape: KvShape
    blocks: int


class Write(msgspec.Struct, frozen=True, tag=True):
    """`rows` of the receiver's pool, as little-endian 64-bit numbers; their bytes follow."""

    request: str
    rows: bytes


class Answer(msgspec.Struct, frozen=True, tag=True):
    """One for each `Write`; `refused`: why its bytes were not taken."""

    refused: str | None = None


class Tcp:
    """TCP between hosts, after both ends have proved the shared key."""

    def __init__(self, pool: Pool, grants: Grants, key: bytes, host: str, advertise: str) -> None:
        self._pool = pool
        self._grants = grants
        self._key = key
        self._lock = Lock()
        self._serving: dict[socket.socket, Thread] = {}
        self._closed = Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        port = self._listener.getsockname()[1]
        self.endpoint = msgspec.msgpack.encode(TcpEndpoint(pool.shape, pool.blocks, advertise, port))
        self._accepting = Thread(target=self._accept, name="kv-tcp", daemon=True)
        self._accepting.start()

    def connect(self, endpoint: bytes) -> Path:
        return TcpPath(read_endpoint(endpoint, TcpEndpoint, self._pool.shape), self._key, staging(self._pool))

    def close(self) -> None:
        """When this returns, nothing more is received, and no thread is left."""
        self._closed.set()
        _hang_up(self._listener)
        self._accepting.join()
        with self._lock:
            serving = list(self._serving.items())
        for connection, thread in serving:
            _hang_up(connection)
            thread.join()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed, or the caller has left, or no file descriptor is free
                self._closed.wait(0.1)
                continue
            thread = Thread(target=self._serve, args=(connection,), name="kv-tcp", daemon=True)
            with self._lock:
                self._serving[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._pool.place.enter(side=True)
            _prepare(connection)
            if _authenticates(connection, self._key):
                connection.settimeout(None)  # a path may be idle for long; keep-alive notices when the host is gone
                self._receive(connection)
        except (OSError, ValueError, msgspec.MsgspecError):
            pass  # the sender left or broke the protocol: the router learns it from the sender, or from its death
        finally:
            with self._lock:
                del self._serving[connection]
            _hang_up(connection)

    def _receive(self, connection: socket.socket) -> None:
        here = PoolHello(self._pool.shape, self._pool.blocks)
        there = _read(connection, PoolHello)
        if here != there:
            return _say(connection, Answer(f"It has {here}, not {there}."))
        _say(connection, Answer())
        stage, pool_rows = staging(self._pool), here.blocks * 2 * here.shape.layers
        while True:
            write = _read(connection, Write)
            rows = np.frombuffer(write.rows, np.dtype("<i8"))
            if not 0 < len(rows) <= len(stage.buffer) or rows.min(initial=0) < 0 or rows.max(initial=0) >= pool_rows:
                return _say(connection, Answer("It has no such rows."))
            _fill(connection, stage.buffer[: len(rows)].data.cast("B"))
            _say(connection, self._land(write.request, rows, stage))

    def _land(self, request: str, rows: Rows, stage: Staging) -> Answer:
        with self._grants.writing(request, rows) as granted:
            if not granted:
                return Answer(f"It has granted {request} no such blocks.")
            stage.land(rows)
        return Answer()


class TcpPath:
    """A connection to another worker's pool."""

    told_every_s = TOLD_EVERY_S

    def __init__(self, theirs: TcpEndpoint, key: bytes, stage: Staging) -> None:
        self.blocks = theirs.blocks
        self._name = f"{theirs.host}:{theirs.port}"
        self._unanswered = 0
        self._stage = stage
        self.piece_bytes = stage.buffer.nbytes  # the receiver has as much room
        self.paced_bytes = stage.paced_bytes
        try:
            self._socket = socket.create_connection((theirs.host, theirs.port), timeout=PATIENCE_S)
        except OSError as error:
            raise self._gone(error) from error
        try:
            _prepare(self._socket)
            _enter(self._socket, key)
            _say(self._socket, PoolHello(theirs.shape, theirs.blocks))
            self._unanswered = 1
            self.flush()
        except OSError as error:
            self.close()
            raise self._gone(error) from error
        except TransportFailed:
            self.close()
            raise

    def write(self, piece: Segment, checksum: Checksum) -> None:
        payload = self._stage.load(piece, checksum)
        try:
            _say(self._socket, Write(piece.request, piece.target.astype("<i8", copy=False).tobytes()))
            self._socket.sendall(payload.data)
        except OSError as error:
            raise self._gone(error) from error
        self._unanswered += 1
        self._listen(IN_FLIGHT - 1)

    def flush(self) -> None:
        self._listen(0)

    def close(self) -> None:
        _hang_up(self._socket)

    def _listen(self, unanswered: int) -> None:
        """Read answers until at most `unanswered` are missing."""
        while self._unanswered > unanswered:
            try:
                answer = _read(self._socket, Answer)
            except (OSError, msgspec.MsgspecError) as error:
                raise self._gone(error) from error
            if answer.refused:
                raise TransportFailed(f"The receiver at {self._name} refuses. {answer.refused}")
            self._unanswered -= 1

    def _gone(self, error: Exception) -> TransportFailed:
        return TransportFailed(f"The receiver at {self._name} cannot be reached: {error}.")


# ---- the key


def _authenticates(connection: socket.socket, key: bytes) -> bool:
    """The receiver's side: the sender proves first that it knows the key."""
    ours = secrets.token_bytes(NONCE_BYTES)
    connection.sendall(ours)
    theirs = _read_bytes(connection, NONCE_BYTES)
    if not hmac.compare_digest(_read_bytes(connection, PROOF_BYTES), _proof(key, b"sender", ours + theirs)):
        return False
    connection.sendall(_proof(key, b"receiver", ours + theirs))
    return True


def _enter(connection: socket.socket, key: bytes) -> None:
    """The sender's side. Raises OSError if the receiver hangs up or does not know the key."""
    theirs = _read_bytes(connection, NONCE_BYTES)
    ours = secrets.token_bytes(NONCE_BYTES)
    connection.sendall(ours + _proof(key, b"sender", theirs + ours))
    try:
        proof = _read_bytes(connection, PROOF_BYTES)
    except ConnectionError as error:
        raise ConnectionError("it did not accept our key") from error
    if not hmac.compare_digest(proof, _proof(key, b"receiver", theirs + ours)):
        raise ConnectionError("it does not know our key")


def _proof(key: bytes, role: bytes, nonces: bytes) -> bytes:
    return hmac.digest(key, role + nonces, "sha256")


# ---- bytes and messages

M = TypeVar("M", PoolHello, Write, Answer)


def _prepare(connection: socket.socket) -> None:
    connection.settimeout(PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _say(connection: socket.socket, message: PoolHello | Write | Answer) -> None:
    data = msgspec.msgpack.encode(message)
    connection.sendall(LENGTH.pack(len(data)) + data)


def _read(connection: socket.socket, kind: type[M]) -> M:
    (length,) = LENGTH.unpack(_read_bytes(connection, LENGTH.size))
    if length > MESSAGE_BYTES:
        raise ConnectionError(f"it announced a message of {length} bytes")
    return msgspec.msgpack.decode(_read_bytes(connection, length), type=kind)


def _read_bytes(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    _fill(connection, memoryview(data))
    return bytes(data)


def _fill(connection: socket.socket, buffer: memoryview) -> None:
    while buffer:
        received = connection.recv_into(buffer)
        if not received:
            raise ConnectionError("it hung up")
        buffer = buffer[received:]


def _hang_up(connection: socket.socket) -> None:
    """Close the socket and wake any thread blocked on it, which closing alone would not."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
