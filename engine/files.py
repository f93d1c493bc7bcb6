"""Files that must survive: complete or absent, even if writing is interrupted; and files of unknown origin."""

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


def contents(path: Path, most_bytes: int) -> bytes:
    """All of a file that somebody names. Raises OSError, in words, for what cannot be read, is longer, or is no file:
    a device or a pipe may never end."""
    try:
        if not path.is_file():
            raise OSError("it is no file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except ValueError as odd:  # a zero byte
        raise OSError("no file has such a name") from odd
    if len(data) > most_bytes:
        raise OSError(f"it has more than {most_bytes / 1e6:g} MB")
    return data


def reason(error: OSError) -> str:
    """Why, in a few words, without number and name."""
    return (error.strerror or str(error)).lower()


def expanded(name: str) -> Path:
    """The path with `~` as the home folder, where there is one: a container's user may have none."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)
