"""Sweeps for the Scale up page: each in a process of its own, each result kept for whoever asks next."""

import threading
from collections.abc import Sequence

import msgspec

from engine.fleet.sweep.sweep import Begun, Borne, Refused, Said, Sweep, Tried
from lab.runs.background_job import Errand, keep

AT_ONCE = 2  # processes, of all sessions together
KEPT = 64  # results

Point = Tried | Borne


class Result(msgspec.Struct, frozen=True):
    begun: Begun
    points: tuple[Point, ...]


_kept: dict[Sweep, Result] = {}
_line = msgspec.json.Decoder(Said)


def known(asked: Sweep) -> Result | None:
    """What came of the same sweep before; with the same seed it would come out the same."""
    return _kept.get(asked)


class Sweeping(Errand):
    """One sweep, waiting, under way or over. Raises BadInput if it can't be simulated."""

    module = "engine.fleet.sweep.sweep"
    turns = threading.BoundedSemaphore(AT_ONCE)

    def __init__(self, asked: Sweep) -> None:
        self.asked = asked.checked()
        self.begun: Begun | None = None
        self.points: list[Point] = []
        super().__init__(msgspec.json.encode(asked))

    @property
    def share(self) -> float | None:
        """Of it that is done; None while it waits for its turn."""
        return len(self.points) / self.begun.points if self.begun else None

    def hear(self, line: bytes) -> str:
        match said := _line.decode(line):
            case Refused(sentence):
                return sentence
            case Begun():
                self.begun = said
            case _:
                self.points.append(said)
        return ""

    def answered(self) -> None:
        if self.begun:
            keep(_kept, self.asked, Result(self.begun, tuple(self.points)), KEPT)


def borne(points: Sequence[Point]) -> list[Borne]:
    return [point for point in points if isinstance(point, Borne)]


def tried(points: Sequence[Point]) -> list[Tried]:
    return [point for point in points if isinstance(point, Tried)]
