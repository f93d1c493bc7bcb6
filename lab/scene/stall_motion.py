"""A stall that has ended, as a motion: when, on which orders, its cause, and what the kitchen says about it."""

from collections.abc import Callable

from engine.stall import Stall
from lab.scene.spans import Motion, rounded
from lab.scene.stall_words import kitchen_says


def stall_motion(stall: Stall, number: Callable[[str], int]) -> Motion:
    """`number`: an order's number in the kitchen, by its request."""
    cause = stall.cause
    return {
        "kind": "stall",
        "t": rounded(stall.until),
        "since": rounded(stall.since),
        "until": rounded(stall.until),
        "worker": stall.worker,
        "orders": list(stall.requests),
        "phase": stall.phase,
        "cause": {
            "kind": cause.kind,
            "request": cause.request,
            "requests": list(cause.requests),
            "worker": cause.worker,
            "tokens": cause.tokens,
            "nbytes": cause.nbytes,
            "since": rounded(cause.since),
            "until": rounded(cause.until),
            "why": cause.why,
        },
        "says": kitchen_says(stall, lambda request: str(number(request))),
    }
