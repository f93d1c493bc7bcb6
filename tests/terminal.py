"""Run a program at a terminal of its own, as a person does: it may ask questions, and Ctrl-C ends it."""

import os
import pty
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

CTRL_C = b"\x03"


class Terminal:
    """Leaving the block presses Ctrl-C and waits until the program has ended."""

    def __init__(self, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self._keyboard, inside = pty.openpty()
        # setsid --ctty: the terminal is the program's own, so that Ctrl-C reaches it
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command], cwd=folder, env=env, stdin=inside, stdout=inside, stderr=inside
        )
        os.close(inside)
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process.poll() is None:
                os.write(self._keyboard, CTRL_C)
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(10)
            os.close(self._keyboard)

    def _read(self) -> None:
        with suppress(OSError):  # the last program at it has ended
            while said := os.read(self._keyboard, 65536):
                self._said += said

    def said(self) -> str:
        return self._said.decode(errors="replace")
