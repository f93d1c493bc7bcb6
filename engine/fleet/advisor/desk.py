"""One advice in a process of its own: `python -m engine.fleet.advisor.desk`, a question on stdin,
lines of JSON on stdout.

First come `Progressed` lines, then one `Answered` or `Sorry`. Whoever no longer wants the answer kills the process.
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
    advice: Advice


class Sorry(msgspec.Struct, frozen=True, tag=True):
    """The question was bad; `why` is the one sentence."""

    why: str


NICENESS = 10  # a live engine on the same machine goes first
Line = Progressed | Answered | Sorry


def serve() -> None:
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
