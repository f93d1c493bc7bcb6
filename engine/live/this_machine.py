"""This machine: its CPU, the cores this process may use, and the folder that keeps what is slow to make."""

import os
import platform
import re
import tempfile
from pathlib import Path

from engine.files import expanded
from engine.live.cgroup import cpu_limit


def cache_folder() -> Path:
    """Where converted models, measured speeds and compiled kernels are kept; SPLIT_KITCHEN_CACHE moves it.

    A user without a home folder, as a container may have, has one among the temporary files.
    """
    if said := os.environ.get("SPLIT_KITCHEN_CACHE"):
        return expanded(said)
    home = expanded("~")
    if home.is_absolute():
        return home / ".cache" / "split-kitchen"
    return Path(tempfile.gettempdir()) / f"split-kitchen-{os.getuid()}"


def processor() -> str:
    """The CPU's own name for itself."""
    info = Path("/proc/cpuinfo")
    if info.exists() and (named := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        return named[1].replace("(R)", "").replace("(TM)", "")
    return platform.processor() or platform.machine()


def core_count() -> float:
    """How many cores this process may use; in a container with less CPU time than that, the cores that its time fills,
    as 1.5."""
    may_run_on = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(may_run_on, cpu_limit())
