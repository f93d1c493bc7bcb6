"""A question for a process of its own: JSON on its stdin, lines of JSON from its stdout.

The lab's own process computes nothing and only reads the lines. A job ends when nobody has kept it alive for a while.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

IDLE_S = 20.0
ROOT = Path(__file__).parents[2]
CANCELLED = "Cancelled."


class BackgroundJob:
    """One `python -m MODULE` process: waiting for a slot, running or over. Its fields are read from pages' threads and
    written by its own thread."""

    def __init__(
        self,
        module: str,
        question: bytes,
        *,
        slots: threading.Semaphore,
        hear: Callable[[bytes], str],
        done: Callable[[], None],
        idle_s: float = IDLE_S,
    ) -> None:
        """`slots` limits how many jobs of a kind run at a time. `hear` takes one line of the answer and returns why
        there will be no answer, or "" to go on. `done` runs after the last line of an answer, before `over` is set.
        `idle_s`: seconds without `keep_alive()` after which the job is cancelled."""
        self.over = False
        self.why = ""  # why it ended without an answer
        self._module = module
        self._question = question
        self._slots = slots
        self._hear, self._done = hear, done
        self._idle_s = idle_s
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()
        self._lock = threading.Lock()  # between starting and ending the process
        self._seen_s = time.monotonic()

    def start(self) -> None:
        """Start the process, or queue for a slot."""
        threading.Thread(target=self._follow, name=self._module, daemon=True).start()

    def keep_alive(self) -> None:
        """Reset the idle timeout."""
        self._seen_s = time.monotonic()

    def cancel(self) -> None:
        """End the process, or give up its place in the queue."""
        self._cancelled.set()
        with self._lock:
            if self._process:
                self._process.terminate()

    @property
    def pid(self) -> int | None:
        """None until the process has been started."""
        return self._process.pid if self._process else None

    def _follow(self) -> None:
        while not self._slots.acquire(timeout=0.5):
            if self._given_up():
                self._end(CANCELLED)
                return
        try:
            self._end(self._run())
        finally:
            self._slots.release()

    def _run(self) -> str:
        """Why there is no answer; "" if there is one."""
        with tempfile.TemporaryFile() as complaints:
            with self._lock:
                if self._given_up():
                    return CANCELLED
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", self._module],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                )
            with self._process as process:
                assert process.stdin
                assert process.stdout
                with suppress(BrokenPipeError):  # cancelled before it has read the question
                    process.stdin.write(self._question)
                    process.stdin.close()
                for line in process.stdout:
                    if refusal := self._hear(line):
                        return refusal
                    if self._given_up():
                        process.terminate()
            if self._cancelled.is_set():
                return CANCELLED
            if process.returncode:
                complaints.seek(0)
                last = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
                return f"The simulation failed: {' '.join(last) or f'exit code {process.returncode}'}"
        return ""

    def _given_up(self) -> bool:
        if time.monotonic() - self._seen_s > self._idle_s:
            self._cancelled.set()
        return self._cancelled.is_set()

    def _end(self, why: str) -> None:
        if not why:
            self._done()
        self.why, self.over = why, True
