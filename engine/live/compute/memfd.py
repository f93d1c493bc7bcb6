"""Memory without a name that another process of this user can map: nothing is left behind, however its holders end."""

import mmap
import os
import tempfile


def create(name: str, nbytes: int) -> tuple[mmap.mmap, str]:
    """New memory, zeroed, and the path under which other processes on this machine can `attach` it."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(name)
        path = f"/proc/{os.getpid()}/fd/{fd}"
    else:  # not Linux: a file that the operating system clears with the temporary folder
        fd, path = tempfile.mkstemp(prefix=f"{name}-")
    os.ftruncate(fd, nbytes)
    return mmap.mmap(fd, nbytes), path


def attach(path: str, nbytes: int) -> mmap.mmap:
    """Map the memory at `path`. Raises OSError if its owner is gone, ValueError if it is smaller."""
    fd = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(fd, nbytes)
    finally:
        os.close(fd)


def identity(path: str) -> tuple[int, int]:
    """Which memory lies at `path` now: mapped memory outlives its owner, so that alone does not say whether it is
    there. Raises OSError if its owner is gone."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
