"""Real cgroups, with limits, for processes that a test starts: what a container's limits are made of."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.live.cgroup import MEMBERSHIP, MOUNTED
from tests.patience import comes

PERIOD_US = 100_000


@contextmanager
def limited(*, cores: float = 0.0, memory_bytes: int = 0) -> Iterator[list[str]]:
    """What to put before a command so that it, and all that it starts, has no more than this. Skips where nobody may
    make cgroups here."""
    made: list[Path] = []
    try:
        try:
            if cores:
                made.append(_made("cpu"))
                quota = int(cores * PERIOD_US)
                _limit(made[-1], "cpu.max", f"{quota} {PERIOD_US}", "cpu.cfs_quota_us", str(quota))
            if memory_bytes:
                made.append(_made("memory"))
                _limit(made[-1], "memory.max", str(memory_bytes), "memory.limit_in_bytes", str(memory_bytes))
        except OSError as why:
            pytest.skip(f"no cgroup with a limit can be made here: {why}")
        enter = "".join(f"echo $$ > {folder}/cgroup.procs && " for folder in made)
        yield ["sh", "-c", f'{enter}exec "$@"', "sh"]
    finally:
        for folder in made:
            assert comes(lambda folder=folder: _gone(folder)), f"somebody is still in {folder}"  # type: ignore[misc]


def _made(controller: str) -> Path:
    """A cgroup below this process's own one, so that it has no more than that has. Raises OSError."""
    for line in MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = MOUNTED / controller / path.lstrip("/")
            break
    else:  # version 2
        own = MOUNTED / path.lstrip("/")
        if controller not in (own / "cgroup.subtree_control").read_text().split():
            (own / "cgroup.subtree_control").write_text(f"+{controller}")
    folder = own / f"split-kitchen-test-{os.getpid()}"
    folder.mkdir()
    return folder


def _limit(folder: Path, name: str, text: str, name_1: str, text_1: str) -> None:
    """In the file of version 2, or else in that of version 1."""
    try:
        if (folder / name).exists():
            (folder / name).write_text(text)
            if (folder / "memory.swap.max").exists():
                (folder / "memory.swap.max").write_text("0")
        else:
            (folder / name_1).write_text(text_1)
    except OSError:
        folder.rmdir()
        raise


def _gone(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
