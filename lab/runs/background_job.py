"""Questions to processes of their own: JSON on stdin, lines of JSON from stdout.

Nothing is computed in the lab's process, it only reads lines. An errand goes on as long as somebody looks at it.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, TypeVar

UNSEEN_S = 20.0  # an errand that nobody has looked at for as long is ended
ROOT = Path(__file__).parents[2]
CANCELLED = "Cancelled."

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class Errand:
    """One question, waiting for its turn, under way or over. Subclasses hear the answer and keep it.

    Read from pages' threads, written by its own.
    """

    module: ClassVar[str]  # what `python -m` runs
    turns: ClassVar[threading.BoundedSemaphore]  # how many run at a time, of all sessions together

    def __init__(self, question: bytes, *, known: bool = False) -> None:
        """`known`: it needs no process."""
        self.over = known
        self.why = ""  # it ended without an answer
        self._question = question
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()
        self._lock = threading.Lock()  # between starting and ending the process
        self._seen_s = time.monotonic()
        if not known:
            threading.Thread(target=self._follow, name=self.module, daemon=True).start()

    def look(self) -> None:
        """Whoever wants it to go on keeps looking."""
        self._seen_s = time.monotonic()

    def cancel(self) -> None:
        self._cancelled.set()
        with self._lock:
            if self._process:
                self._process.terminate()

    def hear(self, line: bytes) -> str:
        """One line of the answer. Returns why there will be none, "" to go on."""
        raise NotImplementedError

    def answered(self) -> None:
        """It has heard all; before `over` is set."""
        raise NotImplementedError

    def _follow(self) -> None:
        while not self.turns.acquire(timeout=0.5):
            if self._given_up():
                self._end(CANCELLED)
                return
        try:
            self._end(self._run())
        finally:
            self.turns.release()

    def _run(self) -> str:
        """Why there is no answer, "" if there is one."""
        with tempfile.TemporaryFile() as complaints:
            with self._lock:
                if self._given_up():
                    return CANCELLED
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self.module],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                )
            with self._process as process:
                assert process.stdin
                assert process.stdout
                with suppress(BrokenPipeError):  # cancelled before it had listened
                    process.stdin.write(self._question)
                    process.stdin.close()
                for line in process.stdout:
                    if refusal := self.hear(line):
                        return refusal
                    if self._given_up():
                        process.terminate()
            if self._cancelled.is_set():
                return CANCELLED
            if process.returncode:
                complaints.seek(0)
                last = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
                return f"The simulation broke off: {' '.join(last) or f'exit code {process.returncode}'}"
        return ""

    def _given_up(self) -> bool:
        if time.monotonic() - self._seen_s > UNSEEN_S:
            self._cancelled.set()
        return self._cancelled.is_set()

    def _end(self, why: str) -> None:
        if not why:
            self.answered()
        self.why, self.over = why, True


def keep(answers: dict[Question, Answer], question: Question, answer: Answer, most: int) -> None:
    """For whoever asks the same next; the oldest answers make room."""
    answers[question] = answer
    for oldest in list(answers)[: max(0, len(answers) - most)]:
        answers.pop(oldest, None)
