"""Questions to the advisor, asked off the page's thread: a child process each, a few at a time, answers kept."""

import subprocess
import sys
from collections import OrderedDict
from contextlib import suppress
from threading import BoundedSemaphore, Event, Lock, Thread

import msgspec

from engine.fleet.advice import Advice
from engine.fleet.desk import Answered, Heard, Line, Sorry
from engine.fleet.question import Question

AT_ONCE = 1  # the engine's workers need the other cores
KEPT = 64  # answers

_SEATS = BoundedSemaphore(AT_ONCE)
_LOCK = Lock()
_ANSWERS: OrderedDict[bytes, Advice] = OrderedDict()


class Asking:
    """One question under way. Read from the page's thread, written by its own."""

    def __init__(self, question: Question) -> None:
        self.heard = Heard(0.0, "Waiting for a free seat at the desk")
        self.advice: Advice | None = None
        self.sorry = ""
        self._key = msgspec.json.encode(question)
        self._cancelled = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.advice = _ANSWERS.get(self._key)
        if self.advice is None:
            Thread(target=self._ask, daemon=True).start()

    @property
    def over(self) -> bool:
        return bool(self.advice or self.sorry or self._cancelled.is_set())

    def cancel(self) -> None:
        self._cancelled.set()
        with _LOCK:
            if self._process:
                self._process.kill()

    def _ask(self) -> None:
        with _SEATS:
            with _LOCK:
                if self._cancelled.is_set():
                    return
                self._process = process = _child()
            with process:
                assert process.stdin
                assert process.stdout
                with suppress(BrokenPipeError):  # cancelled before it had listened
                    process.stdin.write(self._key)
                    process.stdin.close()
                for line in process.stdout:
                    self._hear(msgspec.json.decode(line, type=Line))
        if not self.over:
            self.sorry = "The advisor ended without an answer. Ask again."

    def _hear(self, line: Line) -> None:
        if isinstance(line, Heard):
            self.heard = line
        elif isinstance(line, Sorry):
            self.sorry = line.why
        elif isinstance(line, Answered):
            self.advice = line.advice
            with _LOCK:
                _ANSWERS[self._key] = line.advice
                while len(_ANSWERS) > KEPT:
                    _ANSWERS.popitem(last=False)


def _child() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "engine.fleet.desk"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
