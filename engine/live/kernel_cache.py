"""How kernels are compiled, and where the machine code is kept: some seconds of work, once a machine."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numba

from engine.live.catalog import cache_folder

SOURCES = ("kernels.py", "vectors.py", "kernel_cache.py")
ANY_ORDER = {"reassoc", "contract", "nsz"}  # sums may be regrouped; NaN and infinity stay what they are


def _kept() -> bool:
    """Point numba to a folder for this code. Where none can be written, each process compiles for itself."""
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


_options: dict[str, Any] = {"nogil": True, "boundscheck": False, "cache": _kept()}
compiled = numba.njit(fastmath=ANY_ORDER, **_options)
exactly = numba.njit(fastmath={"contract"}, **_options)
