"""The raw lines that a vLLM's processes append to their files, as they come."""

from collections.abc import Iterator
from pathlib import Path

from engine.vllm.raw import Raw, parse


class Tail:
    """What is new in a folder's `*.jsonl` files. A line counts once its end is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}  # bytes of each file

    def fresh(self) -> Iterator[Raw]:
        """The lines since the last call, file by file."""
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
            if newline:
                self._read[path] = self._read.get(path, 0) + len(whole) + 1
                yield from parse((whole + newline).splitlines(keepends=True), path.name)
