"""Reads the parts of Dockerfile and .dockerignore syntax that ours use, and rejects everything else."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docker.utils.build import exclude_paths


class Step(NamedTuple):
    verb: str
    options: dict[str, str]
    words: str


def steps(text: str) -> list[Step]:
    """The instructions in order, without comments, with continued lines joined."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [_step(line) for line in code.replace("\\\n", "").splitlines() if line.strip()]


def _step(line: str) -> Step:
    verb, rest = line.split(maxsplit=1)
    options = {}
    while said := re.match(r"--([\w-]+)=(\S+)\s+", rest):
        options[said[1]], rest = said[2], rest[said.end() :]
    return Step(verb, options, rest.strip())


class Context:
    """The folder that a build sees: what .dockerignore lets through."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[str] = exclude_paths(str(folder), (folder / ".dockerignore").read_text().splitlines())

    def copy(self, sources: list[str], target: Path, *, into: bool) -> None:
        """As COPY does: a folder's contents, or a file, under its own name if `into` a folder.

        Raises FileNotFoundError for a name that is not in the context. A pattern may match nothing.
        """
        for source in sources:
            files = list(self._files(source))
            if not files and not re.search(r"[*?[]", source):
                raise FileNotFoundError(f"COPY {source}: not in the build's context; see .dockerignore")
            for file, below in files:
                to = target / below if below.parts else target / file.name if into else target
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, to)

    def _files(self, source: str) -> Iterator[tuple[Path, Path]]:
        """Each file of a source, with its path below the named folder."""
        for found in self._folder.glob(source):
            for file in [found] if found.is_file() else found.rglob("*"):
                if file.is_file() and str(file.relative_to(self._folder)) in self._seen:
                    yield file, file.relative_to(found)
