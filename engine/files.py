"""Files that must survive: complete or absent, even if writing is interrupted."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` into `path`, making its folder: all of it or, if this fails, nothing, and what was there stays.

    A file beside it is written, synced to the disk and renamed. Whoever reads still checks what is read: another
    program, or a disk, may have damaged it. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}-")
    try:
        with os.fdopen(file, "wb") as fresh:
            fresh.write(data)
            fresh.flush()
            os.fchmod(fresh.fileno(), mode)
            os.fsync(fresh.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
