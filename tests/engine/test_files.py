"""Files that must survive, on a disk that really is full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.files import write_whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """64 kB in all."""
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=False).returncode
    ):
        pytest.skip("needs to mount a disk of its own")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_leaves_what_was_there(small_disk: Path) -> None:
    write_whole(small_disk / "kept", b"before")
    with pytest.raises(OSError, match="No space left"):
        write_whole(small_disk / "kept", b"x" * 100_000)
    assert [path.name for path in small_disk.iterdir()] == ["kept"]
    assert (small_disk / "kept").read_bytes() == b"before"


def test_a_file_is_replaced_as_a_whole_and_has_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    for data in (b"first, and longer", b"second"):
        write_whole(path, data, mode=0o600)
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
