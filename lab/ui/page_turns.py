"""Pages are drawn one after the other, though Streamlit gives each a thread of its own.

Threads share one interpreter: thirty that draw at once hand it to each other at every message, and all are as late as
the last. In line, the first is done while the others still wait.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_S = 1.0  # behind a page that takes its time, nobody waits for longer

_turn = threading.Semaphore()  # whoever came first, goes first
_here = threading.local()
_in_line: deque[None] = deque()  # one for each that draws or waits


@contextmanager
def in_turn() -> Iterator[None]:
    """Also within itself: a fragment is drawn with its page, or alone."""
    if getattr(_here, "drawing", False):
        yield
        return
    _here.drawing = True
    _in_line.append(None)
    _take()
    try:
        yield
    finally:
        _give()
        _in_line.pop()
        _here.drawing = False


@contextmanager
def out_of_turn() -> Iterator[None]:
    """For a page that waits for something else than the interpreter, as a disk: others are drawn meanwhile."""
    if not getattr(_here, "drawing", False):
        yield
        return
    _give()
    try:
        yield
    finally:
        _take()


def _take() -> None:
    _here.mine = _turn.acquire(timeout=LONGEST_S)


def _give() -> None:
    if _here.mine:
        _turn.release()
    _here.mine = False


def busy() -> bool:
    """Whether a page is drawn, or waits for it."""
    return bool(_in_line)
