"""The lab's way to the engine: a queue of runs before a process that is started again if it dies. The lab has one.

Runs take turns: there is one engine, and a run that shared its cores with another would measure the other.
"""

import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from statistics import mean
from typing import Literal

from engine.link import LinkSpec
from engine.live.machine.machine import Machine
from engine.live.process.host import (
    AddRequest,
    Asked,
    Broken,
    CancelRequest,
    ChangeDeployment,
    ChangeLink,
    Declined,
    EngineReady,
    Examine,
    Examined,
    Happened,
    KillWorker,
    Over,
    Quit,
    RunRefused,
    Starting,
    StartRun,
    StopRun,
    Told,
)
from engine.live.process.seat import worker_names
from engine.log import Log, in_order
from engine.scenario import Deployment, Scenario, one_of
from lab.runs.engine_process import STOP_S, EngineProcess
from lab.runs.engine_settings import EngineSettings
from lab.runs.fair_queue import FairQueue
from lab.runs.run_feed import Run, RunFeed

State = Literal["off", "starting", "ready", "broken"]
MOST_DEATHS = 3  # of the engine's process
WITHIN_S = 600.0


class EngineClient:
    """Read from pages' threads; `feed` holds the runs. `state` and `why` say what the engine does, and why it can't."""

    def __init__(self, settings: EngineSettings, feed: RunFeed) -> None:
        self.settings = settings
        self.feed = feed
        self.state: State = "off"
        self.why = ""  # the reason once `state` is "broken"
        self.about: EngineReady | None = None
        self.machine: Machine | None = None  # once it has been measured
        self._lock = threading.Lock()  # guards the fields below
        self._waiting: FairQueue[StartRun | Examine] = FairQueue()
        self._running = ""
        self._began_s = 0.0
        self._took_s: deque[float] = deque(maxlen=20)  # the last runs: a class asks for similar ones again and again
        self._process: EngineProcess | None = None
        self._deaths_s: deque[float] = deque(maxlen=MOST_DEATHS)  # when it died of something that it could not say

    # ---- the lab opens and closes

    def open(self) -> None:
        """Start the engine; it becomes ready in the background."""
        self.state = "starting"
        module, arguments = self.settings.program()
        self._process = EngineProcess(arguments, self._hear, self._ended, module)

    def close(self) -> None:
        """End the engine, by force if it does not answer; while it starts, it does not."""
        with self._lock:
            wait_s = 0.0 if self.state == "starting" else STOP_S
            self.state = "off"
            self._send(Quit())  # a message, not a closed channel: the listening thread keeps the channel open
        if self._process is not None:
            self._process.end(wait_s)

    # ---- what pages ask for

    def start(self, scenario: Scenario, prompts: tuple[str, ...] = (), *, by: str = "", first: bool = False) -> str:
        """`start_all` for one."""
        return self.start_all([scenario], prompts, by=by, first=first)[0]

    def start_all(
        self, scenarios: Sequence[Scenario], prompts: tuple[str, ...] = (), *, by: str = "", first: bool = False
    ) -> list[str]:
        """Queue runs and return their ids, under which they can be watched at once. Together they are one job of the
        learner `by`, and replace that learner's waiting job; `first` puts them before all others. Raises BadInput for
        what can never run."""
        checked = [self.settings.fitted(scenario) for scenario in scenarios]  # a lesson names no model
        job = [StartRun(secrets.token_urlsafe(9), scenario, prompts) for scenario in checked]
        for ask in job:
            # at once: the page that asked shows it next
            self.feed.add(Run(ask.run, ask.scenario, by, prompts, elsewhere=bool(self.settings.listen)))
        return self._queue(job, by, first)

    def examine(self, *, by: str = "", first: bool = False) -> str:
        """Queue a measurement of this machine, which is a run without events; its result is in `machine`."""
        ask = Examine(secrets.token_urlsafe(9), self.settings.model)
        self.feed.add(Run(ask.run, Scenario(model=self.settings.model)))
        return self._queue([ask], by, first)[0]

    def _queue(self, job: Sequence[StartRun | Examine], by: str, first: bool) -> list[str]:
        runs = [ask.run for ask in job]
        replaced: Sequence[StartRun | Examine] = ()
        with self._lock:
            broken = self.state == "broken"
            if not broken and first:
                for ask in job:
                    self._waiting.put_first(ask)
            elif not broken:
                replaced = self._waiting.put(
                    by or runs[0], job
                )  # without a learner, each job counts as another learner's
        for ask in replaced:
            self._end(ask.run, "You asked for something newer while this was waiting for the engine.")
        if broken:  # a page drawn before it broke may still ask
            for run in runs:
                self._end(run, self.why)
        self._next()
        self.make_room()
        return runs

    def make_room(self) -> None:
        """End the runs whose owners have left, as far as somebody else waits. Call it when an owner may be gone."""
        with self._lock:
            waiting, running = [ask.run for ask in self._waiting.in_turn()], self._running
        gone = {run for run in (*waiting, running) if (known := self.feed.get(run)) and known.left}
        if gone.issuperset(waiting):
            return
        for run in gone:
            self.stop(run)

    def stop(self, run: str) -> None:
        """End a run early, or take it out of the queue."""
        with self._lock:
            waiting = next((ask for ask in self._waiting.in_turn() if ask.run == run), None)
            removed = waiting is not None and self._waiting.remove(waiting)
        if removed:
            self._end(run, "It was taken out of the queue.")
        else:
            self._ask(StopRun(run))

    def change_link(self, run: str, link: LinkSpec) -> None:
        """Change the link of a run, also for handoffs under way."""
        self._ask(ChangeLink(run, link))

    def change_deployment(self, run: str, deployment: Deployment) -> None:
        """Raises BadInput for an impossible deployment."""
        self._ask(ChangeDeployment(run, self.settings.reachable(deployment).checked()))

    def add(self, run: str, prompt: str) -> None:
        """Add a request with this prompt to a run under way."""
        if known := self.feed.get(run):
            known.words.append(prompt)
        self._ask(AddRequest(run, prompt))

    def cancel(self, run: str, request: str) -> None:
        """Cancel one request of a run."""
        self._ask(CancelRequest(run, request))

    def kill(self, run: str, worker: str) -> None:
        """Fault: the worker process dies at once and is replaced. Raises BadInput for an unknown worker."""
        one_of("worker", worker, tuple(worker_names(self.settings.workers)))
        self._ask(KillWorker(run, worker))

    def run(self, run: str) -> Run | None:
        """None for an evicted run."""
        return self.feed.get(run)

    def over(self, run: str) -> bool:
        """True for an evicted run too."""
        known = self.feed.get(run)
        return known is None or known.over

    @property
    def machine_name(self) -> str:
        """Where runs are made, as it stands beside results; "" until the engine is ready."""
        return self.about.machine if self.about else ""

    def place(self, run: str) -> int:
        """The run's position in the queue, from 1; 0 once it has its turn."""
        with self._lock:
            for place, ask in enumerate(self._waiting.in_turn(), start=1):
                if ask.run == run:
                    return place
        return 0

    def wait_s(self, run: str) -> float | None:
        """Estimated seconds until the run's turn, from the last runs; None before the first has ended."""
        place = self.place(run)
        with self._lock:
            if not self._took_s:
                return None
            each_s = mean(self._took_s)
            on_s = max(0.0, each_s - (time.monotonic() - self._began_s)) if self._running else 0.0
        return on_s + each_s * (place - 1) if place else 0.0

    def queue_words(self, run: str) -> str:
        """The run's position in the queue as a sentence; "" once it has its turn."""
        place, wait_s = self.place(run), self.wait_s(run)
        about = f", about {wait_s:.0f} s" if wait_s else ""
        return f"place {place} in the queue for the engine{about}." if place else ""

    def kind(self, run: str) -> str:
        """The run's current deployment; "" for an evicted run."""
        known = self.feed.get(run)
        return known.kind if known else ""

    def log(self, run: str) -> Log | None:
        """The run's events so far; None for an evicted run."""
        known = self.feed.get(run)
        if known is None:
            return None
        return Log(known.scenario, in_order(list(known.events)), self.machine_name, known.ended_at)

    def finished(self, most: int) -> list[Log]:
        """The logs of the last runs that are over, the newest last."""
        return [log for run in self.feed.finished()[-most:] if (log := self.log(run.id)) is not None]

    # ---- the engine

    def _ask(self, ask: Asked) -> None:
        with self._lock:
            if self.state == "ready":
                self._send(ask)

    def _send(self, ask: Asked) -> None:
        """Call with the lock held."""
        if self._process is not None:
            self._process.send(ask)

    def _next(self) -> None:
        """Start the next run if the engine is free."""
        with self._lock:
            if self._running or self.state != "ready" or (ask := self._waiting.take()) is None:
                return
            self._running, self._began_s = ask.run, time.monotonic()
            self._send(ask)

    def _ended(self, how: str) -> None:
        """Start it again: what waited still waits. But what dies again and again would do so for ever."""
        if self.state in ("off", "broken"):
            return
        self._deaths_s.append(time.monotonic())
        if len(self._deaths_s) == MOST_DEATHS and self._deaths_s[-1] - self._deaths_s[0] < WITHIN_S:
            times = f"{MOST_DEATHS} times within {WITHIN_S / 60:.0f} minutes, so it is not started again"
            self._broke(f"The engine's process {how}, {times}; its messages are in the lab's log.")
            return
        sys.stderr.write(f"The engine's process {how}; it is started again.\n")
        with self._lock:
            lost, self._running = self._running, ""
            if self.state != "off":  # the lab may have closed by now
                self.open()
        if lost:
            self._end(lost, f"The engine's process {how} in the middle of this. It starts again: ask once more.")

    def _hear(self, told: Told) -> None:
        match told:
            case EngineReady():
                self.about, self.state = told, "ready"
                self._next()
            case Examined():
                self.machine = told.machine
            case Happened() | Starting() | Declined():
                self.feed.call(lambda: self._about_run(told))
            case Over() | RunRefused():
                with self._lock:
                    self._running = ""
                    if isinstance(told, Over):
                        self._took_s.append(time.monotonic() - self._began_s)
                self._end(told.run, told.why if isinstance(told, RunRefused) else "")
                self._next()
            case Broken():
                self._broke(told.why)

    def _about_run(self, told: Happened | Starting | Declined) -> None:
        if (run := self.feed.get(told.run)) is None:
            return
        match told:
            case Happened():
                run.happened(told.events, told.now_s)
            case Starting():
                run.starting = told.says
            case Declined():
                run.declined = told.why

    def _end(self, run: str, refused: str) -> None:
        def end() -> None:
            if known := self.feed.get(run):
                known.end(refused)

        self.feed.call(end)

    def _broke(self, why: str) -> None:
        """End every run that waits or runs, with the reason."""
        self.state, self.why = "broken", why
        with self._lock:
            lost = [ask.run for ask in self._waiting.clear()] + ([self._running] if self._running else [])
            self._running = ""
        for run in lost:
            self._end(run, why)
