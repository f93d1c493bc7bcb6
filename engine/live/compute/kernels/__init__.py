"""A decoder layer for small batches, compiled by numba. This file imports without it."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

Made = TypeVar("Made")


def if_compiled(make: Callable[[], Made]) -> Made | None:
    """`make()`, which compiles and runs kernels, or None: without numba, or, with a line on stderr, if it fails."""
    if find_spec("numba") is None:
        return None
    try:
        return make()
    except Exception as failed:  # what numba, llvmlite and LLVM raise has no common base class
        why = f"{type(failed).__name__}: {failed}".splitlines()[0]
        sys.stderr.write(f"numba could not compile the kernels, so torch computes small batches ({why}).\n")
        return None
