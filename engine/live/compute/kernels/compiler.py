"""How kernels are compiled, and where the machine code is kept: compiling takes some seconds, once a machine."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

from engine.live.this_machine import cache_folder

SOURCES = ("attention.py", "compiler.py", "layer.py", "numbers.py", "vectors.py")
ANY_ORDER = {"reassoc", "contract", "nsz"}  # sums may be regrouped; NaN and infinity stay what they are


def _kept() -> bool:
    """Give numba a folder for this version of the code. Where none is writable, each process compiles for itself."""
    here = Path(__file__).parent
    code = hashlib.sha256(b"".join((here / name).read_bytes() for name in SOURCES)).hexdigest()[:12]
    for cache in (cache_folder(), Path("~/.cache/split-kitchen").expanduser()):
        folder = cache / f"kernels-{code}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        numba.config.CACHE_DIR = str(folder)
        return True
    return False


# Python's error model would check each division for zero, and such loops don't vectorize.
OPTIONS = {"nogil": True, "boundscheck": False, "error_model": "numpy", "cache": _kept()}
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile, with sums in any order, so that loops vectorize."""
    made: Function = numba.njit(fastmath=ANY_ORDER, **OPTIONS)(function)
    return made


def exactly(function: Function) -> Function:
    """Compile, with every operation in the order in which it is written."""
    made: Function = numba.njit(fastmath={"contract"}, **OPTIONS)(function)
    return made
