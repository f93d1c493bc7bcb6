"""Where workers of other hosts join: a TCP port, and a shared key that each side proves it knows without sending it.

Leans on `answer_challenge` and `deliver_challenge` of `multiprocessing.connection`, which Python has without
documenting them: what `Client` and `Listener` do with a key, here with a time limit and on threads of our own.
"""

import os
import socket
import struct
import sys
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, Pipe, answer_challenge, deliver_challenge
from queue import SimpleQueue
from threading import BoundedSemaphore, Thread

from engine.errors import BadInput, TransportFailed

KEY_VARIABLE = "SPLIT_KITCHEN_KEY"
KEY_LENGTH = 16
PATIENCE_S = 60.0  # for a front that is not listening yet
RETRY_S = 0.5
HANDSHAKE_S = 10.0  # for each message of a caller that has not proved the key yet
MOST_STRANGERS = 64  # callers at once that have not; one more is hung up on
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": 15_000}  # 15 s of silence


def shared_key() -> bytes:
    """The secret in SPLIT_KITCHEN_KEY. Raises BadInput, without repeating it, if it is missing or too short."""
    key = os.environ.get(KEY_VARIABLE, "")
    if len(key) < KEY_LENGTH:
        allowed = f"the same secret everywhere, {KEY_LENGTH} characters or more"
        raise BadInput(KEY_VARIABLE, f"{len(key)} characters long" if key else "not set", allowed)
    return key.encode()


def join(
    address: tuple[str, int], key: bytes, patience_s: float = PATIENCE_S
) -> tuple["Connection[bytes, bytes]", str]:
    """Connect to a front, which may not be listening yet: the connection, and this host's address as the front sees it.

    Raises TransportFailed if nothing listens there within `patience_s`, or the keys differ.
    """
    name = f"{address[0]}:{address[1]}"
    raw = _connect(address, patience_s)
    own_address = str(raw.getsockname()[0])
    connection: Connection[bytes, bytes] = Connection(raw.detach())
    try:
        if not connection.poll(patience_s):
            raise TransportFailed(f"What listens at {name} does not speak to workers.")
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
    except AuthenticationError as refused:
        raise TransportFailed(f"{name} has another {KEY_VARIABLE}.") from refused
    except (OSError, EOFError) as gone:
        raise TransportFailed(f"{name} hung up during the handshake: {gone}.") from gone
    return connection, own_address


def _connect(address: tuple[str, int], patience_s: float) -> socket.socket:
    """A worker may start before its front, so refused connections are tried again."""
    give_up_s = time.monotonic() + patience_s
    while True:
        left_s = give_up_s - time.monotonic()
        try:
            raw = socket.create_connection(address, timeout=max(left_s, RETRY_S))
            _configure(raw)
        except OSError as closed:
            if left_s <= 0:
                raise TransportFailed(f"Nothing listens at {address[0]}:{address[1]}: {closed}.") from closed
            time.sleep(RETRY_S)
        else:
            return raw


def _configure(raw: socket.socket) -> None:
    """Small messages leave at once, and the kernel notices a host that vanishes."""
    raw.setblocking(True)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def limit_silence(connection: "Connection[bytes, bytes]", seconds: float) -> None:
    """Have a read or write of this socket fail with an OSError after so long without progress; 0: never."""
    limit = struct.pack("ll", int(seconds), 0)  # a timeval
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        for side in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            same.setsockopt(socket.SOL_SOCKET, side, limit)


class JoinServer:
    """Accepts workers in the background. `signal` is readable when `joined` may hold one."""

    def __init__(self, address: tuple[str, int], key: bytes) -> None:
        self._key = key
        self.signal, self._signalling = Pipe(duplex=False)
        self.joined: SimpleQueue[Connection[bytes, bytes]] = SimpleQueue()
        try:
            self._listener = Listener(address)
        except OSError as taken:
            raise BadInput("listen", f"{address[0]}:{address[1]}", f"an address of this host ({taken})") from taken
        self.address: tuple[str, int] = self._listener.address
        self._open = True
        self._strangers = BoundedSemaphore(MOST_STRANGERS)
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                newcomer = self._listener.accept()
            except OSError:
                continue  # the caller hung up before it was accepted, or the server is closed
            if not self._strangers.acquire(blocking=False):
                newcomer.close()
                continue
            # each on its own thread: a caller that says nothing must not block the others
            Thread(target=self._authenticate, args=(newcomer,), daemon=True).start()

    def _authenticate(self, newcomer: "Connection[bytes, bytes]") -> None:
        try:
            limit_silence(newcomer, HANDSHAKE_S)
            with socket.socket(fileno=os.dup(newcomer.fileno())) as raw:
                _configure(raw)
            deliver_challenge(newcomer, self._key)
            answer_challenge(newcomer, self._key)
        except (AuthenticationError, EOFError, OSError) as refused:
            sys.stderr.write(f"A worker was refused: {refused}\n")
            newcomer.close()
            return
        finally:
            self._strangers.release()
        self.joined.put(newcomer)
        self._signalling.send_bytes(b"")
