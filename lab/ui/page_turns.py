"""Pages are drawn one after another, though Streamlit gives each its own thread.

Threads share one interpreter. Thirty pages drawn at once switch at every message and all finish late; in line, the
first is done while the others wait.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_S = 1.0


class PageTurns:
    """The line of pages to be drawn. No page waits longer than `longest_s` for the one before it."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._turn = threading.Semaphore()  # first come, first served
        self._here = threading.local()  # `drawing`: this thread is in the line; `mine`: it has the turn
        self._in_line: deque[None] = deque()  # one entry for each thread that draws or waits

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Draw inside, once it is this thread's turn. May be nested: a fragment is drawn with its page or alone."""
        if getattr(self._here, "drawing", False):
            yield
            return
        self._here.drawing = True
        self._in_line.append(None)
        self._take()
        try:
            yield
        finally:
            self._give()
            self._in_line.pop()
            self._here.drawing = False

    @contextmanager
    def out_of_turn(self) -> Iterator[None]:
        """Let others draw while this thread waits for something else than the interpreter, such as a disk."""
        if not getattr(self._here, "drawing", False):
            yield
            return
        self._give()
        try:
            yield
        finally:
            self._take()

    def busy(self) -> bool:
        """Whether a page is being drawn or waits for its turn."""
        return bool(self._in_line)

    def _take(self) -> None:
        self._here.mine = self._turn.acquire(timeout=self._longest_s)

    def _give(self) -> None:
        if self._here.mine:
            self._turn.release()
        self._here.mine = False
