"""Where workers of other hosts join: a TCP port, and a shared key that both sides prove to have without showing it."""

import os
import socket
import sys
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, Pipe, answer_challenge, deliver_challenge
from queue import SimpleQueue
from threading import Thread

from engine.errors import BadInput, TransportFailed

KEY_VARIABLE = "SPLIT_KITCHEN_KEY"
KEY_LENGTH = 16
PATIENCE_S = 60.0  # for a front that is not there yet
KNOCK_EVERY_S = 0.5
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": 15_000}  # 15 s of silence


def shared_key() -> bytes:
    """The secret that joins workers of several hosts. Raises BadInput, without repeating it, if it is none."""
    key = os.environ.get(KEY_VARIABLE, "")
    if len(key) < KEY_LENGTH:
        allowed = f"the same secret everywhere, {KEY_LENGTH} characters or more"
        raise BadInput(KEY_VARIABLE, f"{len(key)} characters long" if key else "not set", allowed)
    return key.encode()


def join(
    address: tuple[str, int], key: bytes, patience_s: float = PATIENCE_S
) -> tuple["Connection[bytes, bytes]", str]:
    """Knock at a front's door until it opens: the connection, and this host's address on that road.

    Raises TransportFailed if nobody opens within `patience_s`, or the keys differ.
    """
    name = f"{address[0]}:{address[1]}"
    road = _knock(address, patience_s)
    own_address = str(road.getsockname()[0])
    connection: Connection[bytes, bytes] = Connection(road.detach())
    try:
        if not connection.poll(patience_s):
            raise TransportFailed(f"Whoever listens at {name} does not speak to workers.")
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
    except AuthenticationError as refused:
        raise TransportFailed(f"{name} has another {KEY_VARIABLE}.") from refused
    except (OSError, EOFError) as gone:
        raise TransportFailed(f"{name} hung up before it had opened: {gone}.") from gone
    return connection, own_address


def _knock(address: tuple[str, int], patience_s: float) -> socket.socket:
    """Workers may be started before their front is."""
    give_up_s = time.monotonic() + patience_s
    while True:
        left_s = give_up_s - time.monotonic()
        try:
            road = socket.create_connection(address, timeout=max(left_s, KNOCK_EVERY_S))
            _smooth(road)
        except OSError as closed:
            if left_s <= 0:
                raise TransportFailed(f"Nobody opens at {address[0]}:{address[1]}: {closed}.") from closed
            time.sleep(KNOCK_EVERY_S)
        else:
            return road


def _smooth(road: socket.socket) -> None:
    """Small messages leave at once, and a host that vanishes without a word is noticed by the kernel."""
    road.setblocking(True)
    road.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    road.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):
            road.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class Door:
    """Accepts workers in the background. `bell` is readable when `newcomers` may hold one."""

    def __init__(self, address: tuple[str, int], key: bytes) -> None:
        self._key = key
        self.bell, self._button = Pipe(duplex=False)
        self.newcomers: SimpleQueue[Connection[bytes, bytes]] = SimpleQueue()
        try:
            self._listener = Listener(address)
        except OSError as taken:
            raise BadInput("listen", f"{address[0]}:{address[1]}", f"an address of this host ({taken})") from taken
        self.address: tuple[str, int] = self._listener.address
        self._open = True
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                newcomer = self._listener.accept()
            except OSError:
                continue  # hung up before it was accepted, or the door is closed
            # each on its own thread: one that says nothing must not keep the others out
            Thread(target=self._let_in, args=(newcomer,), daemon=True).start()

    def _let_in(self, newcomer: "Connection[bytes, bytes]") -> None:
        try:
            with socket.socket(fileno=os.dup(newcomer.fileno())) as road:
                _smooth(road)
            deliver_challenge(newcomer, self._key)
            answer_challenge(newcomer, self._key)
        except (AuthenticationError, EOFError, OSError) as refused:
            sys.stderr.write(f"A worker was not let in: {refused}\n")
            newcomer.close()
            return
        self.newcomers.put(newcomer)
        self._button.send_bytes(b"")
