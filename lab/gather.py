"""Gathering a round's evidence: its runs, one after the other, through the engine's queue.

It is begun only for a guess that is locked, and driven by whoever looks at it: a page that is closed asks for no more
runs, and one that is opened again goes on where it stood. Evidence is kept in memory; guesses and outcomes are not here
but in the book.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from engine.errors import BadInput
from engine.log import Log
from lab.amounts import plain
from lab.engine_room import ENGINE_ROOM
from lessons.evidence import Evidence, Turn, collected, turns
from lessons.lesson import Lesson, Round

KEPT = 400  # rounds, of all learners; the oldest make room


class Part(NamedTuple):
    """One round's share: a round may be answered from the rounds before it, whose runs may have to be made again."""

    asked: Round
    setting: float


class Step(NamedTuple):
    """One turn of the engine; without `turn` it is the measuring of the machine."""

    round: str
    turn: Turn | None


class Gathering:
    """The runs still to be made. Safe to use from several threads; each call of `advance` is cheap."""

    def __init__(self, parts: Sequence[Part], by: str, *, first: bool = False) -> None:
        self._parts = parts
        self._by, self._first = by, first
        self._steps = [
            Step(asked.name, turn) for asked, setting in parts for turn in turns(asked.runs(setting), asked.repeats)
        ]
        if any(asked.needs_machine for asked, _ in parts) and ENGINE_ROOM.machine is None:
            self._steps.insert(0, Step(parts[-1].asked.name, None))
        self._logs: list[tuple[Step, Log]] = []
        self._done = 0
        self._seconds: list[float] = []
        self._began = 0.0
        self._lock = threading.Lock()
        self.run = ""  # in the engine's queue, or on
        self.stopped = ""  # why it does not go on; it can be resumed

    @property
    def total(self) -> int:
        return len(self._steps)

    @property
    def done(self) -> int:
        """How many of `total` turns have been taken."""
        return self._done

    @property
    def complete(self) -> bool:
        return self._done == len(self._steps)

    @property
    def measuring(self) -> bool:
        """Whether the turn that is on, or next, is the measuring of the machine."""
        return not self.complete and self._steps[self._done].turn is None

    @property
    def name(self) -> str:
        """The name of the run that is on, or next."""
        turn = None if self.complete else self._steps[self._done].turn
        return turn.name if turn else ""

    @property
    def left_s(self) -> float | None:
        """Seconds to go, going by the turns so far; None before the first."""
        if not self._seconds:
            return None
        under_way = time.monotonic() - self._began if self._began else 0.0
        return max(1.0, mean(self._seconds) * (self.total - self._done) - under_way)

    def advance(self) -> None:
        """Take in the run that is over, and ask for the next."""
        with self._lock:
            if self.run and not self.stopped:
                self._take_in()
            if not (self.run or self.stopped or self.complete):
                self._ask()

    def stop(self) -> None:
        """Cancel the run that is on. What has been gathered stays."""
        with self._lock:
            run, self.run, self._began = self.run, "", 0.0
            self.stopped = "You cancelled the run. Your guess stays locked; nothing is lost."
        if run:
            ENGINE_ROOM.stop(run)

    def resume(self) -> None:
        with self._lock:
            self.stopped = ""
        self.advance()

    def evidence(self) -> dict[str, Evidence]:
        """For each round what its runs came to."""
        return {
            asked.name: collected(
                [(step.turn, log) for step, log in self._logs if step.turn and step.round == asked.name],
                setting,
                ENGINE_ROOM.machine if asked.needs_machine else None,
            )
            for asked, setting in self._parts
        }

    def _take_in(self) -> None:
        known = ENGINE_ROOM.hub.runs.get(self.run)
        if known is not None and not known.over:
            if not self._began and not ENGINE_ROOM.place(self.run):
                self._began = time.monotonic()
            return
        step, run, self.run = self._steps[self._done], self.run, ""
        log = ENGINE_ROOM.log(run)
        if known is not None and known.refused:
            self.stopped = known.refused
        elif step.turn is None:
            self._done += ENGINE_ROOM.machine is not None
        elif known is not None and log is not None and log.events:  # else it is forgotten, and made again
            self._logs.append((step, log))
            self._done += 1
            if self._began:
                self._seconds.append(time.monotonic() - self._began)
        self._began = 0.0

    def _ask(self) -> None:
        if ENGINE_ROOM.state == "broken":
            self.stopped = ENGINE_ROOM.why
            return
        turn = self._steps[self._done].turn
        try:
            if turn:
                self.run = ENGINE_ROOM.start(turn.scenario, by=self._by, first=self._first)
            else:
                self.run = ENGINE_ROOM.examine(by=self._by, first=self._first)
        except BadInput as wrong:  # a scenario that this lab's engine can't run
            self.stopped = str(wrong)


def says(gathering: Gathering) -> str:
    """How far it has come, as a sentence."""
    number = f"Run {gathering.done + 1} of {gathering.total}"
    if gathering.stopped:
        return f"{number} was not finished."
    if ENGINE_ROOM.state == "starting":
        return f"{number}: the engine is warming up (a minute at the very first start)."
    if waits := ENGINE_ROOM.queue_words(gathering.run):
        return f"{number}: {waits}"
    if gathering.measuring:
        return f"{number}: measuring what this machine can do, some seconds."
    left_s = gathering.left_s
    left = f", about {left_s:.0f} s to go" if left_s else ". How long they take is known after the first"
    return f"{number} ({plain(gathering.name.replace('_', ' '))}){left}."


class Gathered:
    """Evidence and what is being gathered, by (learner, lesson, round)."""

    def __init__(self) -> None:
        self._evidence: dict[tuple[str, str, str], Evidence] = {}
        self._open: dict[tuple[str, str, str], Gathering] = {}
        self._lock = threading.Lock()

    def gathering(
        self, learner: str, lesson: Lesson, asked: Round, settings: Mapping[str, float], *, first: bool = False
    ) -> Gathering:
        """Of what answers this round, as far as it is not in memory. `settings`: where the knobs were locked. `first`:
        its runs go before everybody's."""
        key = (learner, lesson.slug, asked.name)
        with self._lock:
            if key not in self._open:
                missing = [
                    one for one in lesson.sources(asked) if (learner, lesson.slug, one.name) not in self._evidence
                ]
                parts = [Part(one, settings.get(one.name, 0.0)) for one in missing]
                self._open[key] = Gathering(parts, learner, first=first)
                _trim(self._open)
            return self._open[key]

    def keep(self, learner: str, lesson: Lesson, asked: Round, gathering: Gathering) -> None:
        """It is complete: from now on its evidence is what counts."""
        with self._lock:
            for name, evidence in gathering.evidence().items():
                self._evidence[learner, lesson.slug, name] = evidence
            self._open.pop((learner, lesson.slug, asked.name), None)
            _trim(self._evidence)

    def evidence(self, learner: str, lesson: Lesson, asked: Round) -> Evidence | None:
        """What the round is answered from; None if any of it is not in memory."""
        joined = Evidence()
        with self._lock:
            for one in lesson.sources(asked):
                own = self._evidence.get((learner, lesson.slug, one.name))
                if own is None:
                    return None
                joined = own.joined(joined)
        return joined

    def forget(self, learner: str) -> None:
        with self._lock:
            for kept in (self._evidence, self._open):
                for key in [key for key in kept if key[0] == learner]:
                    kept.pop(key)


def _trim(kept: dict[tuple[str, str, str], Any]) -> None:
    while len(kept) > KEPT:
        kept.pop(next(iter(kept)))


GATHERED = Gathered()
