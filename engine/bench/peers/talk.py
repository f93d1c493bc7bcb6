"""The protocol with a peer: a line with a JSON list, the act's name first, is answered by a line with a number.

Uses only the standard library, since a peer may run under another interpreter.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping


def prompt(tokens: int, number: int = 0) -> list[int]:
    """Token ids below 256, which every vocabulary has; each `number` gives another prompt."""
    return [(31 * at + 7 * number) % 251 for at in range(tokens)]


def answer(make_ready: Callable[[], Mapping[str, Callable[..., float]]], version: Callable[[], str] = str) -> None:
    """Make ready, print the peer's version, then serve requests until stdin ends."""
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that a library's output is not taken for an answer
    acts = make_ready()
    print(json.dumps(version()), file=said, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(acts[name](*arguments)), file=said, flush=True)
