"""Files that must survive, on a disk that really is full."""

from pathlib import Path

import pytest

from engine.files import write_whole
from tests.disks import small_disk


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        write_whole(disk / "kept", b"before")
        with pytest.raises(OSError, match="No space left"):
            write_whole(disk / "kept", b"x" * 100_000)
        assert [path.name for path in disk.iterdir()] == ["kept"]
        assert (disk / "kept").read_bytes() == b"before"


def test_a_file_is_replaced_as_a_whole_and_has_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    for data in (b"first, and longer", b"second"):
        write_whole(path, data, mode=0o600)
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
