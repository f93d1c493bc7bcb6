"""What a process has used so far, as Linux says it."""

import os
from pathlib import Path


def rss_bytes(pid: int) -> float:
    """The process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * float(os.sysconf("SC_PAGE_SIZE"))


def cpu_s(pid: int) -> float:
    """CPU seconds, over all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
