"""How kernels are compiled, and where the machine code is kept: compiling takes some seconds, once a machine."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba

from engine.files import expanded
from engine.live.this_machine import cache_folder

SOURCES = ("attention.py", "compiler.py", "layer.py", "numbers.py", "vectors.py")
ANY_ORDER = {"reassoc", "contract", "nsz"}  # sums may be regrouped; NaN and infinity stay what they are


ROOM_BYTES = 16_000_000  # more than all kernels take
UNUSED_S = 30 * 86_400.0


def _kept() -> bool:
    """Give numba a folder for this version of the code. Where none can be written, each process compiles for itself."""
    here = Path(__file__).parent
    code = hashlib.sha256(b"".join((here / name).read_bytes() for name in SOURCES)).hexdigest()[:12]
    for cache in (cache_folder(), expanded("~/.cache/split-kitchen")):
        if not cache.is_absolute():
            continue
        folder = cache / f"kernels-{code}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as room:
                if not any(folder.rglob("*.nbi")):
                    os.posix_fallocate(room.fileno(), 0, ROOM_BYTES)  # numba would fail in the middle of its writing
            os.utime(folder)
        except OSError:
            continue
        _forget_old(cache)
        numba.config.CACHE_DIR = str(folder)
        return True
    return False


def _forget_old(cache: Path) -> None:
    """Remove the kernels of versions of the code that nobody has used for a month."""
    for folder in cache.glob("kernels-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > UNUSED_S:
                shutil.rmtree(folder)


def kept_in() -> Path:
    """The folder of compiled kernels, where any are kept."""
    return Path(numba.config.CACHE_DIR)


def discard() -> str:
    """Throw away what is kept, and return where it was; "" if nothing was."""
    if not OPTIONS["cache"] or not any(kept_in().rglob("*.nb?")):
        return ""
    for kept in kept_in().rglob("*.nb?"):
        kept.unlink(missing_ok=True)  # another process may be doing the same
    return str(kept_in())


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
