"""Runs and their watchers. A watcher is a position in a run's list of motions; nothing is copied for it.

Only the event loop's thread changes a run that can be watched; other threads hand work over with `RunFeed.call`.
"""

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Container, Sequence

from engine.events import Deployed, Event
from engine.scenario import Kind, Scenario
from lab.runs.ceiling import carried
from lab.runs.lru import LRU
from lab.scene.motions import Motions
from lessons.book import now

RUNS_KEPT = 40
AWAY_S = 10.0
FRAME_S = 1 / 30  # watchers get no more messages a second than they can draw
SPARING_S = 0.25  # to one that would take the workers' cores if it drew as often as it can


class Run:
    """One run: what was asked for, its events, and the same events as motions, each encoded once for all watchers."""

    def __init__(
        self, id: str, scenario: Scenario, by: str = "", words: Sequence[str] = (), *, elsewhere: bool = False
    ) -> None:
        self.id = id  # gives the right to watch
        self.elsewhere = elsewhere  # its workers joined over the network
        self.key = secrets.token_urlsafe(9)  # gives the right to change the link, cancel orders and kill workers
        self.by = by  # the learner who asked for it; "" for the lab's own
        self.words = list(words)  # prompts written by a visitor
        self.scenario = scenario
        self.events: list[Event] = []
        self.over = False
        self.ended_at = ""  # UTC, ISO 8601
        self.refused = ""  # why it never began
        self.starting = ""  # what the engine has to start before it can begin
        self.carried: dict[str, float] = {}  # once it is over: bytes/s that its road reached, by transport
        self.declined = ""  # why the last requested change was not made
        self.owners = 0  # pages that watch with the run's key
        self.left_s: float | None = None  # since when there is none, after there was one (monotonic)
        self._motions = Motions()
        self._encoded: list[str] = []
        self._joined: dict[int, str] = {}  # by how much a watcher has seen: all that are new to it
        self._beats: dict[float, Beat] = {}
        self._clock: tuple[float, float] | None = None  # (the run's clock, ours) at the last events, seconds

    def owner_came(self) -> None:
        self.owners, self.left_s = self.owners + 1, None

    def owner_went(self) -> None:
        self.owners -= 1
        if not self.owners:
            self.left_s = time.monotonic()

    @property
    def left(self) -> bool:
        """Whether its owner is gone, and not only about to load the page again."""
        return self.left_s is not None and time.monotonic() - self.left_s >= AWAY_S

    def happened(self, events: Sequence[Event], now_s: float) -> None:
        """Append events; `now_s` is the run's clock when they were sent."""
        self.starting = ""
        self.events += events
        self._encoded += [json.dumps(motion) for event in events for motion in self._motions.fold(event)]
        self._joined = {}
        self._clock = (now_s, time.monotonic())
        self._wake()

    @property
    def kind(self) -> Kind:
        """The current deployment, which may have changed during the run."""
        for event in reversed(self.events):
            if isinstance(event, Deployed):
                return event.deployment
        return self.scenario.deployment.kind

    def end(self, refused: str = "") -> None:
        """No more motions will come. `refused`: why the run never started, if it did not."""
        self.ended_at, self.carried = now(), carried(self.scenario, self.events)
        self._joined = {}
        self.over, self.refused = True, refused  # after `ended_at`: other threads read that once they see `over`
        self._wake()

    async def watch(self, since: int, every_s: float = FRAME_S) -> AsyncIterator[str]:
        """JSON messages for a watcher that has seen the first `since` motions; the last one says that the run is over.
        They come no more often than `every_s`, and to all watchers together: what is new to five hundred is put
        together once."""
        async for message in self.motions(since, every_s):
            yield message
        yield json.dumps({"over": True, "refused": self.refused})

    async def motions(self, since: int, every_s: float) -> AsyncIterator[str]:
        """The same without the last."""
        place = max(0, min(since, len(self._encoded)))
        beat = self._beats.setdefault(every_s, Beat(every_s))
        while True:
            next_beat = beat.next  # taken before the check below, so that no change in between is missed
            if place < len(self._encoded):
                fresh, place = self._since(place), len(self._encoded)
                yield f'{{"seq": {place}, "now": {self._now_s():.4f}, "motions": [{fresh}]}}'
            if self.over and place == len(self._encoded):
                return
            await next_beat.wait()

    def _since(self, place: int) -> str:
        if place in self._joined:
            return self._joined[place]
        joined = ", ".join(self._encoded[place:])
        if not self.over:  # later they come one by one, if at all
            self._joined[place] = joined
        return joined

    def _now_s(self) -> float:
        if self._clock is None:
            return 0.0
        run_s, heard_s = self._clock
        return run_s + time.monotonic() - heard_s

    def _wake(self) -> None:
        for beat in self._beats.values():
            beat.ask()


class Beat:
    """Wakes everybody who waits for the `next` one, soon after it was asked for, but at most once in `every_s`."""

    def __init__(self, every_s: float) -> None:
        self.next = asyncio.Event()
        self._every_s = every_s
        self._last_s = -math.inf
        self._asked = False

    def ask(self) -> None:
        if not self._asked:
            self._asked = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._last_s + self._every_s), self._strike)

    def _strike(self) -> None:
        self._asked, self._last_s = False, asyncio.get_running_loop().time()
        self.next.set()
        self.next = asyncio.Event()


class RunFeed:
    """The runs that can be watched. When there are more than RUNS_KEPT, finished ones are evicted."""

    def __init__(self, call: Callable[[Callable[[], None]], object]) -> None:
        """`call` runs a function on the event loop's thread, soon; it may be called from any thread."""
        self.call = call
        self.pinned: Callable[[], Container[str]] = frozenset  # ids of finished runs that must not be evicted
        self._runs: LRU[str, Run] = LRU(RUNS_KEPT)

    def get(self, run: str) -> Run | None:
        """None if there was no such run, or if it was evicted."""
        return self._runs.get(run)

    def finished(self) -> list[Run]:
        """Those that are over and were not refused, in the order in which they ended."""
        over = [run for run in self._runs.values() if run.over and not run.refused]
        return sorted(over, key=lambda run: run.ended_at)

    def add(self, run: Run) -> None:
        """From any thread: nobody watches it yet."""
        pinned = self.pinned()
        self._runs.put(run.id, run, keep=lambda old: not old.over or old.id in pinned)
