"""Gathering a question's evidence: its runs, one after another, through the engine's queue.

It begins only once a guess is locked, and advances while a page looks at it: a page that is closed asks for no more
runs, and one that is opened again goes on from there. Runs that were made before with the same settings and seeds, or
that are being made for somebody else, are shared unless fresh ones are asked for.
"""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from engine.disturbed import disturbed
from engine.errors import BadInput
from engine.live.machine.lull import Lull
from engine.log import Log
from engine.scenario import Scenario
from lab.course.single_flight import SingleFlight
from lab.runs.engine_client import EngineClient
from lab.runs.lru import LRU
from lab.ui.formatting import plain
from lessons.evidence import ATTEMPTS, Evidence, Turn, calmer, collected, turns
from lessons.lesson import Round


class Part(NamedTuple):
    """One round's runs. A round may be answered from the rounds before it, whose runs may have to be made again."""

    asked: Round
    setting: float
    seed: int


class Step(NamedTuple):
    """One turn of the engine; without `turn`, the measurement of the machine."""

    round: str
    turn: Turn | None


@dataclass(frozen=True)
class Shared:
    """What all gatherings of a lab share. `kept`: the logs of finished, undisturbed runs by their scenarios, which hold
    every setting and the seed. Runs made together are given together: only those can be compared. `lull`: of this
    machine, for one gathering."""

    engine: EngineClient
    kept: "LRU[tuple[Scenario, ...], tuple[Log, ...]]"
    flights: "SingleFlight[Gathering]"
    lull: Callable[[int], Lull] = Lull


class Gathering:
    """The runs still to be made. Thread-safe; each call of `advance` is cheap.

    `on`: the gathering whose runs these are, itself or an earlier one for the same question that is still under way.
    `for_all`: a whole class watches. Its runs go before all others.
    `fresh`: every run is made, whatever is kept.

    A round's repeats that carry no verdict are followed by more, as many as the round allows.

    A disturbed run is made again, up to `ATTEMPTS` times, and no more often in all than there are runs; the least
    disturbed attempt counts. It is made again in a lull, if one comes soon.
    """

    def __init__(
        self, shared: Shared, parts: Sequence[Part], by: str, *, for_all: bool = False, fresh: bool = False
    ) -> None:
        self.id = secrets.token_urlsafe(9)  # gives the right to follow it
        self.engine = shared.engine
        self._kept, self._flights = shared.kept, shared.flights
        self.parts = parts
        self._by, self._for_all, self._fresh = by, for_all, fresh
        self._steps = [
            Step(part.asked.name, turn)
            for part in parts
            for turn in turns(part.asked.runs(part.setting), range(part.asked.repeats), part.seed)
        ]
        if any(part.asked.needs_machine for part in parts) and self.engine.machine is None:
            self._steps.insert(0, Step(parts[-1].asked.name, None))
        self._logs: list[tuple[Step, Log]] = []
        self.on = self
        self._reused: set[str] = set()  # rounds
        self._best: Log | None = None  # of the attempts at the run that is on, if it was disturbed
        self._attempts = 0
        self._lull = shared.lull(shared.engine.settings.workers)
        self._most_again, self._again = len(self._steps), 0  # runs that may be, and were, made again
        self._done = 0
        self._seconds: list[float] = []
        self._began = 0.0
        self._lock = threading.Lock()
        self.run = ""  # the run that is queued or on
        self.watched = ""  # that run, if it is one to look at, or else the last one that was
        self.stopped = ""  # why it has stopped; it can be resumed

    @property
    def total(self) -> int:
        return len(self._steps)

    @property
    def done(self) -> int:
        """How many of `total` turns are over."""
        return self._done

    @property
    def complete(self) -> bool:
        return self._done == len(self._steps)

    @property
    def measuring(self) -> bool:
        """Whether the current or next turn is the measurement of the machine."""
        return not self.complete and self._steps[self._done].turn is None

    @property
    def repeats(self) -> bool:
        """Whether the turn that is on, or next, is made again because it was disturbed."""
        return self._attempts > 0

    @property
    def undecided(self) -> bool:
        """Whether the turn that is on, or next, is one more repeat, because those before carry no verdict."""
        turn = None if self.complete else self._steps[self._done].turn
        return turn is not None and turn.repeat >= self._part(self._steps[self._done].round).asked.repeats

    @property
    def disturbed(self) -> bool:
        """Whether a run was, so far, and has been or is being made again."""
        return self._again > 0

    @property
    def waits(self) -> bool:
        """Whether it waits until nobody else computes."""
        return self._lull.awaited

    @property
    def run_says(self) -> str:
        """What the current or next run is called."""
        if self.complete or not (turn := self._steps[self._done].turn):
            return ""
        return self._part(self._steps[self._done].round).asked.run_says.format(turn.name)

    @property
    def left_s(self) -> float | None:
        """Estimated seconds to go, from the turns so far; None before the first has ended."""
        if not self._seconds:
            return None
        under_way = time.monotonic() - self._began if self._began else 0.0
        return max(1.0, mean(self._seconds) * (self.total - self._done) - under_way)

    def advance(self) -> None:
        """Collect the run that is over, and ask for the next."""
        with self._lock:
            if self.run and not self.stopped:
                self._take_in()
            while not (self.run or self.stopped or self.complete) and self._reuse():
                pass
            self.on = self if self.stopped or self.complete else self._leader()
            if self.on is self and not (self.run or self.stopped or self.complete) and self._lull.came():
                self._ask()

    def stop(self) -> None:
        """Cancel the current run. What has been gathered stays."""
        with self._lock:
            run, self.run, self._began, self.on = self.run, "", 0.0, self
            what = "Votes stay" if self._for_all else "Your guess stays"
            self.stopped = f"You cancelled the run. {what} locked; nothing is lost."
        self._flights.resign(self)
        if run:
            self.engine.stop(run)

    def resume(self) -> None:
        with self._lock:
            self.stopped = ""
        self.advance()

    def made(self, wanted: Sequence[Scenario]) -> tuple[Log, ...] | None:
        """The logs of these scenarios once all are made; None before. Called from the threads of those who wait."""
        logs = dict(self._logs)
        for part in self.parts:
            steps = self._steps_of(part.asked.name)[: len(wanted)]  # without repeats that came on top
            if _scenarios(steps) == wanted and all(step in logs for step in steps):
                return tuple(logs[step] for step in steps)
        return None

    def evidence(self) -> dict[str, Evidence]:
        """The evidence of each round."""
        return {
            asked.name: collected(
                [(step.turn, log) for step, log in self._logs if step.turn and step.round == asked.name],
                setting,
                self.engine.machine if asked.needs_machine else None,
                len(self._steps_of(asked.name)) if asked.name in self._reused else 0,
            )
            for asked, setting, _ in self.parts
        }

    def _take_in(self) -> None:
        known = self.engine.run(self.run)
        if known is not None and not known.over:
            if not self._began and not self.engine.place(self.run):
                self._began = time.monotonic()
            return
        step, run, self.run = self._steps[self._done], self.run, ""
        log = self.engine.log(run)
        if known is not None and known.refused:
            self.stopped = known.refused
        elif step.turn is None:
            self._done += self.engine.machine is not None
        elif known is not None and log is not None and log.events:  # else it was evicted, and is made again
            if self._began:
                self._seconds.append(time.monotonic() - self._began)
            self._best = calmer(self._best, log)
            self._attempts += 1
            if (
                self._timed(step)
                and disturbed(log.events)
                and self._attempts < ATTEMPTS
                and self._again < self._most_again
            ):
                self._again += 1
                self._lull.begin()
            else:
                self._logs.append((step, self._best))
                self._best, self._attempts = None, 0
                self._done += 1
                if step == self._steps_of(step.round)[-1]:
                    self._keep(step.round)
                    self._flights.resign(self)  # those who wait still know it by `on`
                    self._repeat_more(step.round)
        self._began = 0.0

    def _timed(self, step: Step) -> bool:
        return self._part(step.round).asked.timed

    def _part(self, round: str) -> Part:
        return next(part for part in self.parts if part.asked.name == round)

    def _steps_of(self, round: str) -> list[Step]:
        return [step for step in self._steps if step.turn and step.round == round]

    def _keep(self, round: str) -> None:
        """All of that round's runs are made: keep them for whoever asks the same, unless one was disturbed."""
        made, steps = dict(self._logs), self._steps_of(round)
        logs = tuple(made[step] for step in steps)
        if not any(disturbed(log.events) for log in logs):
            self._kept.put(_scenarios(steps), logs)

    def _repeat_more(self, round: str) -> None:
        """Put more repeats of that round's runs, all of which are made, before whatever is next, if it wants them."""
        asked, setting, seed = self._part(round)
        more = asked.more_repeats(self.evidence()[round])
        steps = [Step(round, turn) for turn in turns(asked.runs(setting), more, seed)]
        self._steps[self._done : self._done] = steps

    def _reuse(self) -> bool:
        """Use runs made before or for somebody else for the current question. Returns whether there were any."""
        on = self._steps[self._done]
        if on.turn is None and self.engine.machine is not None:  # measured for somebody else meanwhile
            self._done += 1
            return True
        if on.turn is None or self._fresh:
            return False
        steps = self._steps_of(on.round)
        wanted = _scenarios(steps)
        kept = self._kept.get(wanted) or (self.on.made(wanted) if self.on is not self else None)
        if kept is None:
            return False
        self._logs = [made for made in self._logs if made[0].round != on.round] + list(zip(steps, kept, strict=True))
        self._reused.add(on.round)
        self._done = self._steps.index(steps[-1]) + 1
        self._repeat_more(on.round)
        return True

    def _leader(self) -> "Gathering":
        """Returns the leader for the current question's runs, and refreshes the heartbeat if that is this one."""
        on = self._steps[self._done]
        if not on.turn or self._fresh:
            return self
        leader = self._flights.leader(_scenarios(self._steps_of(on.round)), self, always=self._for_all)
        return self if self.run else leader  # its own run that was asked for comes first

    def _ask(self) -> None:
        if self.engine.state == "broken":
            self.stopped = self.engine.why
            return
        round, turn = self._steps[self._done]
        try:
            if not self.engine.settings.tells_apart(_scenarios(self._steps_of(round))):
                raise BadInput("engine", "vLLM", "the lab's own for this question: on vLLM its runs would be the same")
            if turn:
                self.run = self.watched = self.engine.start(turn.scenario, by=self._by, first=self._for_all)
            else:
                self.run = self.engine.examine(by=self._by, first=self._for_all)
        except BadInput as wrong:  # a scenario that this lab's engine can't run
            self.stopped = str(wrong)


def _scenarios(steps: Sequence[Step]) -> tuple[Scenario, ...]:
    return tuple(step.turn.scenario for step in steps if step.turn)


def says(gathering: Gathering) -> str:
    """Its progress, as a sentence."""
    if gathering.on is not gathering:
        return f"{_says(gathering.on)} Somebody asked the same before you: these runs are for both."
    return _says(gathering)


def _says(gathering: Gathering) -> str:
    number = f"Run {gathering.done + 1} of {gathering.total}"
    if gathering.stopped:
        return f"{number} was not finished."
    if gathering.engine.state == "starting":
        return f"{number}: the engine is warming up (a minute at the very first start)."
    if waits := gathering.engine.queue_words(gathering.run):
        return f"{number}: {waits}"
    if gathering.waits:
        return f"{number}: something else computes on this machine. The run was disturbed and waits for a quiet moment."
    if gathering.measuring:
        return f"{number}: measuring what this machine can do; this takes some seconds."
    left_s = gathering.left_s
    left = f", about {left_s:.0f} s to go" if left_s else ". How long they take is known after the first"
    if gathering.undecided:
        left += ". The repeats do not agree so far, so there are more"
    if gathering.repeats:
        left += ". Something else on this machine disturbed it; it is made again"
    return f"{number} ({plain(gathering.run_says)}){left}."
