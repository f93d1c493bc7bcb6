"""How long a test waits for what has to come. Waiting costs nothing where it comes, and how soon it does is the
machine's affair: a test fails for what comes wrong or not at all, never for what comes late.

Where the time itself is promised, a test measures that and does not use this."""

import time
from collections.abc import Callable

PATIENCE_S = 300.0


def comes(what: Callable[[], object]) -> bool:
    """Whether it becomes true at all."""
    give_up = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True
