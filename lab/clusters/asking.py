"""Questions to the advisor, each asked in a process of its own, answers kept."""

from threading import BoundedSemaphore

import msgspec

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.desk import Answered, Heard, Line, Sorry
from engine.fleet.advisor.question import Question
from lab.runs.background_job import Errand, keep

KEPT = 64  # answers

_kept: dict[bytes, Advice] = {}  # by the question as JSON: questions hold what can't be hashed
_line: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Asking(Errand):
    """One question under way, or answered from what is kept."""

    module = "engine.fleet.advisor.desk"
    turns = BoundedSemaphore(1)  # the engine's workers need the other cores

    def __init__(self, question: Question) -> None:
        self.heard = Heard(0.0, "Waiting for a free seat at the desk")
        self._key = msgspec.json.encode(question)
        self.advice = _kept.get(self._key)
        super().__init__(self._key, known=self.advice is not None)

    def hear(self, line: bytes) -> str:
        match said := _line.decode(line):
            case Sorry(why):
                return why
            case Heard():
                self.heard = said
            case Answered(advice):
                self.advice = advice
        return ""

    def answered(self) -> None:
        if self.advice:
            keep(_kept, self._key, self.advice, KEPT)
