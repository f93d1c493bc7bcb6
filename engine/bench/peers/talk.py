"""How a peer is asked: a line with a JSON list, the act's name first; a line with a number comes back.

Standard library only: a peer may run under another interpreter.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping


def prompt(tokens: int, number: int = 0) -> list[int]:
    """Token ids below 256, which every vocabulary has; another `number` begins otherwise."""
    return [(31 * at + 7 * number) % 251 for at in range(tokens)]


def answer(make_ready: Callable[[], Mapping[str, Callable[..., float]]], version: Callable[[], str] = str) -> None:
    """Make ready, say the peer's version, then act as asked until nobody asks any more."""
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    acts = make_ready()
    print(json.dumps(version()), file=said, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(acts[name](*arguments)), file=said, flush=True)
