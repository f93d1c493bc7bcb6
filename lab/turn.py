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
    _in_line.append(None)
    mine = _turn.acquire(timeout=LONGEST_S)
    _here.drawing = True
    try:
        yield
    finally:
        _here.drawing = False
        _in_line.pop()
        if mine:
            _turn.release()


def busy() -> bool:
    """Whether a page is drawn, or waits for it."""
    return bool(_in_line)
