"""How long a test waits for something that must happen.

Waiting costs nothing when it happens, and how soon depends on the machine. So a test fails when the result is wrong or
missing, never when it is late. Where the time itself is promised, a test measures it and does not use this limit.
"""

import time
from collections.abc import Callable

PATIENCE_S = 300.0


def comes(what: Callable[[], object]) -> bool:
    """Whether `what` becomes true within `PATIENCE_S`."""
    give_up = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True
