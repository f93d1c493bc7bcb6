"""How many files and sockets a process may have open: the lab's, and a bench's that visits it many times over."""

import resource

MOST_FILES = 65_536


def open_files() -> None:
    """Allow this process as many open files as the machine lets it have: every socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
