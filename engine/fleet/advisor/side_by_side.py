"""Simulations side by side, each in a process of its own, where the system can copy this one."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@contextmanager
def side_by_side(simulate: Callable[[A], B], each: Sequence[A], at_once: int) -> Iterator[Iterator[B]]:
    """The results, in order, by at most so many processes.

    They are forked, which takes no time; only on Linux, and only from a process with one thread, since a fork copies
    the locks that other threads hold. Elsewhere this process computes them one after the other.
    """
    at_once = min(at_once, len(each))
    if at_once < 2 or sys.platform != "linux" or threading.active_count() > 1:
        yield map(simulate, each)
        return
    with get_context("fork").Pool(at_once, _end_with, (os.getpid(),)) as pool:
        yield pool.imap(simulate, each)


def _end_with(parent: int) -> None:
    """However the parent ends, its helpers do as well; Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
