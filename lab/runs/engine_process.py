"""The engine's process as the lab starts it: messages go down, and come up on a thread that listens."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Pipe

import msgspec

from engine.live.process.host import Asked, Told

STOP_S = 4.0

_told: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)


class EngineProcess:
    """`hear` is called with everything the engine says, then `ended`, once, with how its process ended: both on the
    listening thread. When `ended` is called, nothing of the engine is left, not even a worker that was stopped."""

    def __init__(
        self,
        arguments: list[str],
        hear: Callable[[Told], None],
        ended: Callable[[str], None],
        module: str = "engine.live.process.host",
    ) -> None:
        """`arguments`: of `module`, a host, after its first."""
        self._channel, theirs = Pipe()
        fd = theirs.fileno()
        # nothing is imported from the folder that the lab is started in
        command = [sys.executable, "-P", "-m", module, str(fd), *arguments]
        self._process = subprocess.Popen(
            command,
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is meant for the lab, which then ends the engine
        )
        theirs.close()
        self._encoder = msgspec.msgpack.Encoder()
        threading.Thread(target=self._listen, args=(hear, ended), name="engine client", daemon=True).start()

    def send(self, ask: Asked) -> None:
        """From one thread at a time. If the engine has just died, the listening thread tells those who wait."""
        with suppress(OSError):
            self._channel.send_bytes(self._encoder.encode(ask))

    def end(self, wait_s: float = STOP_S) -> None:
        """Return once it has ended, by force if it takes longer than `wait_s`."""
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # includes its workers, which may not answer either

    def _listen(self, hear: Callable[[Told], None], ended: Callable[[str], None]) -> None:
        with suppress(EOFError, OSError):
            while True:
                hear(_told.decode(self._channel.recv_bytes()))
        self.end()
        self._kill()  # a worker that was stopped has not noticed
        ended(_how(self._process.returncode))


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
