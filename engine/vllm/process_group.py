"""The processes of a group, and the shared memory that they would leave behind.

vLLM takes its shared memory off the list by which Python removes it (`multiprocessing.resource_tracker`), and means to
remove it by itself. A server that is killed does not.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

SHARED = Path("/dev/shm")  # where the kernel has it
STOPPED = ("T", "t", "Z", "X")  # states in which a process does nothing


def members(group: int) -> list[int]:
    """Its processes that have not ended."""
    return [pid for pid, state in _states(group) if state != "Z"]


def _states(group: int) -> Iterator[tuple[int, str]]:
    """Each process and how it is, as the kernel says it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, _, theirs = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(theirs) == group:
                    yield int(entry.name), state


def shared_files() -> frozenset[Path]:
    """All shared memory of this machine that has a name."""
    with suppress(OSError):
        return frozenset(SHARED.iterdir())
    return frozenset()


def shared_by(group: int) -> frozenset[Path]:
    """The shared memory with a name that a process of this group has in its address space, or open.

    By inode: a semaphore is made under another name, which is the one that the kernel goes on telling."""
    theirs: set[int] = set()
    for pid in members(group):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace").splitlines():
                _, _, _, _, inode, *path = line.split(maxsplit=5)
                if path and path[0].startswith(f"{SHARED}/"):
                    theirs.add(int(inode))
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if os.readlink(entry).startswith(f"{SHARED}/"):
                        theirs.add(entry.stat().st_ino)
    named = set()
    for file in shared_files():
        with suppress(OSError):
            if file.stat().st_ino in theirs:
                named.add(file)
    return frozenset(named)


def stop(group: int, within_s: float = 1.0) -> None:
    """So that none of its processes does anything until it is killed. Raises ProcessLookupError if there is none."""
    os.killpg(group, signal.SIGSTOP)
    give_up_s = time.monotonic() + within_s
    while any(state not in STOPPED for _, state in _states(group)) and time.monotonic() < give_up_s:
        time.sleep(0.001)


def remove(files: Iterable[Path]) -> None:
    """Those that are still there."""
    for file in files:
        with suppress(OSError):
            file.unlink()
