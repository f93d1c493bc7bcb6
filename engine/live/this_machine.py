"""This machine: its CPU, the cores this process may use, and the folder that keeps what is slow to make."""

import os
import platform
import re
from pathlib import Path


def cache_folder() -> Path:
    """Where converted models, measured speeds and compiled kernels are kept; SPLIT_KITCHEN_CACHE moves it."""
    return Path(os.environ.get("SPLIT_KITCHEN_CACHE") or "~/.cache/split-kitchen").expanduser()


def processor() -> str:
    """The CPU's own name for itself."""
    info = Path("/proc/cpuinfo")
    if info.exists() and (named := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        return named[1].replace("(R)", "").replace("(TM)", "")
    return platform.processor() or platform.machine()


def core_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
