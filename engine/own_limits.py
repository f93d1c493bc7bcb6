"""How long code that somebody has written may take: a call that does not return is interrupted.

By a signal, so on a process's main thread only, which is where a command, a notebook and a worker ask. A signal is
heard between two steps of Python: one operation that never ends, such as an endless sum, cannot be interrupted.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MOST_S = 5.0  # for one call
AGAIN_S = 0.1  # a call that catches the interruption is interrupted again,
TRIES = 20  # and after so many of them its process ends, where there is somebody to say so
GAVE_UP = 75  # its exit code

_may_end = False


class TookTooLong(BaseException):
    """No Exception: those are for written code to catch."""


def may_end() -> None:
    """This process may be ended for a call that cannot be interrupted: whoever started it says why."""
    global _may_end
    _may_end = True


@contextmanager
def limited() -> Iterator[None]:
    """Raises TookTooLong inside the block once it has lasted `MOST_S`."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    tries = 0

    def interrupt(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries > TRIES and _may_end:
            os._exit(GAVE_UP)
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, interrupt)
    other = signal.setitimer(signal.ITIMER_REAL, MOST_S, AGAIN_S)  # somebody's timer, as a test's own limit
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *other)
        signal.signal(signal.SIGALRM, before)
