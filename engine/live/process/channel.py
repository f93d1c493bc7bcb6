"""A worker's end of its connection to the front, and what both ends agree on. No torch: the front needs this too."""

import os
import select
import time
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

import msgspec

from engine.messages import Command, Greeting, Report

MAX_MESSAGE_BYTES = 64 * 2**20

_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)


class Channel:
    """`send` may be called from any thread; messages arrive in the order in which they were sent."""

    def __init__(self, connection: "Connection[bytes, bytes]") -> None:
        self._connection = connection
        self._lock = Lock()
        self._encoder = msgspec.msgpack.Encoder()

    def send(self, message: Report | Greeting) -> None:
        with self._lock:
            self._connection.send_bytes(self._encoder.encode(message))

    def answer(self, message: Report | Greeting) -> None:
        """Send a sign of life, but wait for nobody: where a message of another thread is under way, or the front has
        many still to read, it has its sign. Waiting, the listening thread would read no more, and both ends might."""
        if not self._lock.acquire(blocking=False):
            return
        room = select.poll()
        room.register(self._connection, select.POLLOUT)
        try:
            if room.poll(0):
                self._connection.send_bytes(self._encoder.encode(message))
        except OSError:
            pass  # the front is gone, as `receive` is about to find
        finally:
            self._lock.release()

    def receive(self) -> Command:
        """The next command. Raises EOFError or OSError when the front is gone."""
        return _commands.decode(self._connection.recv_bytes(MAX_MESSAGE_BYTES))


def boot_id() -> str:
    """Equal in two processes if and only if they share a monotonic clock; unknown systems always differ."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"{os.getpid()}@{time.time()}"
