"""Simulated kitchens for the Scale up page: each made in a process of its own, the last few kept."""

import threading

import msgspec

from engine.fleet.sweep.sweep import Refused
from lab.clusters.simulate_kitchen import Seen, Watch
from lab.runs.background_job import Errand, keep

KEPT = 8  # a few megabytes each

_kept: dict[Watch, Seen] = {}
_line: msgspec.json.Decoder[Seen | Refused] = msgspec.json.Decoder(Seen | Refused)


def seen(asked: Watch) -> Seen | None:
    """What was made of the same before."""
    return _kept.get(asked)


class Watching(Errand):
    """One simulated kitchen on its way. Raises BadInput if there can be none."""

    module = "lab.clusters.simulate_kitchen"
    turns = threading.BoundedSemaphore(1)

    def __init__(self, asked: Watch) -> None:
        self.asked = asked.checked()
        self._seen: Seen | None = None
        super().__init__(msgspec.json.encode(asked))

    def hear(self, line: bytes) -> str:
        match _line.decode(line):
            case Refused(sentence):
                return sentence
            case Seen() as said:
                self._seen = said
        return ""

    def answered(self) -> None:
        if self._seen:
            keep(_kept, self.asked, self._seen, KEPT)
