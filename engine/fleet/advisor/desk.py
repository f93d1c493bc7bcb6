"""One advice in its own process: `python -m engine.fleet.advisor.desk`, a question on stdin, JSON lines on stdout.

First come `Progressed` lines, then one `Answered` or `Sorry`. To cancel, kill the process.
"""

import os
import sys

import msgspec

from engine.errors import BadInput
from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.advisor import advise
from engine.fleet.advisor.question import Question


class Progressed(msgspec.Struct, frozen=True, tag=True):
    """`share` from 0 to 1 of the work is done; `what` is next."""

    share: float
    what: str


class Answered(msgspec.Struct, frozen=True, tag=True):
    """The last line of a process that came to an end."""

    advice: Advice


class Sorry(msgspec.Struct, frozen=True, tag=True):
    """The question was bad; `why` is the one sentence."""

    why: str


NICENESS = 10  # a live engine on the same machine goes first
Line = Progressed | Answered | Sorry


def serve() -> None:
    """Read the question, write the lines, and return."""
    os.nice(NICENESS)
    try:
        question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
        _say(Answered(advise(question, lambda share, what: _say(Progressed(share, what)))))
    except BadInput as bad:
        _say(Sorry(str(bad)))


def _say(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
