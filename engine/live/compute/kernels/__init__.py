"""A decoder layer for small batches, compiled by numba. This file imports without it."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

Made = TypeVar("Made")


def if_compiled(make: Callable[[], Made]) -> Made | None:
    """`make()`, which compiles and runs kernels, or None: without numba, or, with a line on stderr, if it fails.

    What is kept on the disk may be damaged. Then it is thrown away, and all is compiled again.
    """
    if find_spec("numba") is None:
        return None
    try:
        return make()
    except Exception as failed:  # what numba, llvmlite and LLVM raise has no common base class
        again = discarded(failed)
        if not again:
            _say(failed)
    try:
        return make() if again else None
    except Exception as failed:
        _say(failed)
        return None


def discarded(failed: Exception) -> bool:
    """Whether compiled kernels were kept on the disk, which are thrown away now because of `failed`."""
    from engine.live.compute.kernels.compiler import discard

    if not (folder := discard()):
        return False
    sys.stderr.write(f"The compiled kernels in {folder} could not be used ({_short(failed)}); they are made again.\n")
    return True


def _say(failed: Exception) -> None:
    why = _short(failed)
    sys.stderr.write(f"numba could not compile the kernels, so torch computes small batches ({why}).\n")


def _short(failed: Exception) -> str:
    return f"{type(failed).__name__}: {failed}".splitlines()[0]
