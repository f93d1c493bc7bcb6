"""The processes of a group, and the shared memory that they would leave behind.

vLLM takes its shared memory off the list by which Python removes it (`multiprocessing.resource_tracker`), and means to
remove it by itself. A server that is killed does not.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SHARED = Path("/dev/shm")  # where the kernel has it


def members(group: int) -> list[int]:
    """Its processes that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, _, theirs = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(theirs) == group and state != "Z":
                    found.append(int(entry.name))
    return found


def shared_files() -> frozenset[Path]:
    """All shared memory of this machine that has a name."""
    with suppress(OSError):
        return frozenset(SHARED.iterdir())
    return frozenset()


def mapped_by(group: int) -> frozenset[Path]:
    """The shared memory with a name that a process of this group has in its address space."""
    found = set()
    for pid in members(group):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace").splitlines():
                path = line.split(maxsplit=5)[5:]
                if path and path[0].startswith(f"{SHARED}/"):
                    found.add(Path(path[0]))
    return frozenset(found)


def remove(files: Iterable[Path]) -> None:
    """Those that are still there."""
    for file in files:
        with suppress(OSError):
            file.unlink()
