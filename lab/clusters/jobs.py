"""The jobs behind the clusters' pages: advice, sweeps and simulated kitchens, each in its own process.

Answers are kept for all visitors: the same question and seed always give the same answer.
"""

from collections.abc import Sequence
from threading import BoundedSemaphore

import msgspec

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.desk import Answered, Line, Progressed, Sorry
from engine.fleet.advisor.question import Question
from engine.fleet.sweep.said import Begun, Boundary, Compared, Curve, Ratio, Refused, Said, Sustained, Sweep, Tried
from lab.clusters.simulate_kitchen import PlansKitchen, SimulatedRun
from lab.runs.background_job import IDLE_S, BackgroundJob
from lab.runs.lru import LRU

Point = Tried | Sustained | Ratio | Compared | Curve | Boundary

_advisor_line: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_sweep_line = msgspec.json.Decoder(Said)
_kitchen_line: msgspec.json.Decoder[SimulatedRun | Refused] = msgspec.json.Decoder(SimulatedRun | Refused)


class SweepResult(msgspec.Struct, frozen=True):
    """A sweep that has finished."""

    begun: Begun
    points: tuple[Point, ...]


class AdvisorJob:
    """One question to the advisor: `progress` until `job.over`, then `advice`, or the reason in `job.why`."""

    def __init__(self, jobs: "Jobs", question: Question) -> None:
        self.progress = Progressed(0.0, "Waiting for another question to finish")
        self.advice: Advice | None = None
        self._jobs = jobs
        self._key = msgspec.json.encode(question)
        self.job = jobs.process("engine.fleet.advisor.desk", self._key, jobs.advisor_slots, self)

    def hear(self, line: bytes) -> str:
        match said := _advisor_line.decode(line):
            case Sorry(why):
                return why
            case Progressed():
                self.progress = said
            case Answered(advice):
                self.advice = advice
        return ""

    def done(self) -> None:
        if self.advice:
            self._jobs.advice.put(self._key, self.advice)


class SweepJob:
    """One sweep. Raises BadInput if it can't be simulated."""

    def __init__(self, jobs: "Jobs", asked: Sweep) -> None:
        self.asked = asked.checked()
        self.begun: Begun | None = None
        self.points: list[Point] = []
        self._jobs = jobs
        self.job = jobs.process("engine.fleet.sweep.sweep", msgspec.json.encode(asked), jobs.sweep_slots, self)

    @property
    def share(self) -> float | None:
        """The share of points that are done, from 0 to 1; None while it waits for a slot."""
        return min(1.0, len(self.points) / self.begun.points) if self.begun else None

    def hear(self, line: bytes) -> str:
        match said := _sweep_line.decode(line):
            case Refused(sentence):
                return sentence
            case Begun():
                self.begun = said
            case _:
                self.points.append(said)
        return ""

    def done(self) -> None:
        if self.begun:
            self._jobs.sweeps.put(self.asked, SweepResult(self.begun, tuple(self.points)))


class KitchenJob:
    """One simulated kitchen. Raises BadInput if it can't be simulated."""

    def __init__(self, jobs: "Jobs", asked: PlansKitchen) -> None:
        self.asked = asked.checked()
        self._run: SimulatedRun | None = None
        self._jobs = jobs
        self._key = msgspec.json.encode(asked)
        self.job = jobs.process("lab.clusters.simulate_kitchen", self._key, jobs.kitchen_slots, self)

    def hear(self, line: bytes) -> str:
        match said := _kitchen_line.decode(line):
            case Refused(sentence):
                return sentence
            case SimulatedRun():
                self._run = said
        return ""

    def done(self) -> None:
        if self._run:
            self._jobs.kitchens.put(self._key, self._run)


class Jobs:
    """Starts jobs for all sessions, and keeps their answers."""

    SWEEPS_AT_ONCE = 2

    def __init__(self, idle_s: float = IDLE_S) -> None:
        """`idle_s`: seconds without `keep_alive()` after which a job stops."""
        self._idle_s = idle_s
        self.advice: LRU[bytes, Advice] = LRU(64)  # by the question as JSON: questions are not hashable
        self.sweeps: LRU[Sweep, SweepResult] = LRU(64)
        self.kitchens: LRU[bytes, SimulatedRun] = LRU(8)  # a few megabytes each
        self.advisor_slots = BoundedSemaphore(1)  # the engine's workers need the other cores
        self.sweep_slots = BoundedSemaphore(self.SWEEPS_AT_ONCE)
        self.kitchen_slots = BoundedSemaphore(1)

    def advise(self, question: Question) -> Advice | AdvisorJob:
        """Kept advice, or a new job for it."""
        return self.advice.get(msgspec.json.encode(question)) or AdvisorJob(self, question)

    def sweep(self, asked: Sweep) -> SweepJob:
        """Start a sweep. Raises BadInput."""
        return SweepJob(self, asked)

    def kitchen(self, asked: PlansKitchen) -> KitchenJob:
        """Start a simulated kitchen. Raises BadInput."""
        return KitchenJob(self, asked)

    def drawn(self, asked: PlansKitchen) -> SimulatedRun | None:
        """A kitchen that is kept."""
        return self.kitchens.get(msgspec.json.encode(asked))

    def process(
        self, module: str, question: bytes, slots: BoundedSemaphore, whose: AdvisorJob | SweepJob | KitchenJob
    ) -> BackgroundJob:
        """Start a job in `module`, which reads `question` from stdin; `whose` gets its lines."""
        job = BackgroundJob(module, question, slots=slots, hear=whose.hear, done=whose.done, idle_s=self._idle_s)
        job.start()
        return job


def sustained(points: Sequence[Point]) -> list[Sustained]:
    """The highest rates among a sweep's points."""
    return [point for point in points if isinstance(point, Sustained)]


def compared(points: Sequence[Point]) -> list[Compared]:
    """The pairs of plans among a sweep's points."""
    return [point for point in points if isinstance(point, Compared)]


def tried(points: Sequence[Point]) -> list[Tried]:
    """The single simulations among a sweep's points."""
    return [point for point in points if isinstance(point, Tried)]
