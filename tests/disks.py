"""A disk of its own, small enough to be full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, kilobytes: int = 64, *, full: bool = False) -> Iterator[Path]:
    """`folder`, made if it is not there, as a disk of this size; `full`: no byte is free on it."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs to mount a disk of its own")
    try:
        if full:
            with suppress(OSError), (folder / "filler").open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
