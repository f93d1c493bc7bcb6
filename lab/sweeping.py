"""Sweeps for the Scale up page: each in one process of its own, few at a time, each result kept for whoever asks next.

Nothing is simulated in this process: it only reads lines. A sweep goes on as long as somebody looks at it.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.fleet.sweep import Begun, Borne, Refused, Said, Sweep, Tried

AT_ONCE = 2  # processes, of all sessions together
KEPT = 64  # results; the oldest make room
UNSEEN_S = 20.0  # a sweep that nobody has looked at for as long is ended
ROOT = Path(__file__).parents[1]

Point = Tried | Borne


class Result(msgspec.Struct, frozen=True):
    begun: Begun
    points: tuple[Point, ...]


_kept: dict[Sweep, Result] = {}
_turns = threading.BoundedSemaphore(AT_ONCE)
_line = msgspec.json.Decoder(Said)


def known(asked: Sweep) -> Result | None:
    """What came of the same sweep before; with the same seed it would come out the same."""
    return _kept.get(asked)


class Sweeping:
    """One sweep, waiting, under way or over. Raises BadInput if it can't be simulated."""

    def __init__(self, asked: Sweep) -> None:
        self.asked = asked.checked()
        self.begun: Begun | None = None
        self.points: list[Point] = []
        self.over = False
        self.why = ""  # it ended without a result
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()
        self._lock = threading.Lock()  # between starting and ending the process
        self._seen_s = time.monotonic()
        threading.Thread(target=self._follow, name="sweep", daemon=True).start()

    def look(self) -> float | None:
        """The share that is done, None while it waits for its turn. Whoever wants it to go on keeps looking."""
        self._seen_s = time.monotonic()
        return len(self.points) / self.begun.points if self.begun else None

    def cancel(self) -> None:
        self._cancelled.set()
        with self._lock:
            if self._process:
                self._process.terminate()

    def _follow(self) -> None:
        while not _turns.acquire(timeout=0.5):
            if self._given_up():
                self._end("Cancelled.")
                return
        try:
            self._end(self._run())
        finally:
            _turns.release()

    def _run(self) -> str:
        """Why there is no result, "" if there is one."""
        with tempfile.TemporaryFile() as complaints:
            with self._lock:
                if self._given_up():
                    return "Cancelled."
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "engine.fleet.sweep"],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                )
            with self._process as process:
                assert process.stdin
                assert process.stdout
                with suppress(BrokenPipeError):  # cancelled before it had listened
                    process.stdin.write(msgspec.json.encode(self.asked))
                    process.stdin.close()
                for line in process.stdout:
                    if refusal := self._heard(_line.decode(line)):
                        return refusal
                    if self._given_up():
                        process.terminate()
            if self._cancelled.is_set():
                return "Cancelled."
            if process.returncode:
                complaints.seek(0)
                last = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
                return f"The simulation broke off: {' '.join(last) or f'exit code {process.returncode}'}"
        return ""

    def _heard(self, said: Said) -> str:
        match said:
            case Refused(sentence):
                return sentence
            case Begun():
                self.begun = said
            case _:
                self.points.append(said)
        return ""

    def _given_up(self) -> bool:
        if time.monotonic() - self._seen_s > UNSEEN_S:
            self._cancelled.set()
        return self._cancelled.is_set()

    def _end(self, why: str) -> None:
        if not why and self.begun:
            _keep(self.asked, Result(self.begun, tuple(self.points)))
        self.why, self.over = why, True


def _keep(asked: Sweep, result: Result) -> None:
    _kept[asked] = result
    for oldest in list(_kept)[: max(0, len(_kept) - KEPT)]:
        _kept.pop(oldest, None)


def borne(points: Sequence[Point]) -> list[Borne]:
    return [point for point in points if isinstance(point, Borne)]


def tried(points: Sequence[Point]) -> list[Tried]:
    return [point for point in points if isinstance(point, Tried)]
