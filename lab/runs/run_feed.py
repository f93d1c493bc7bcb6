"""Runs, and everyone who watches them. A watcher is a place in the run's list of motions; nothing is copied for it.

Only the event loop's thread touches a run that is being watched; other threads hand things over with `call`.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Container, Sequence

from engine.events import Deployed, Event
from engine.scenario import Kind, Scenario
from lab.scene.motions import Motions
from lessons.book import now

RUNS_KEPT = 40
FRAME_S = 1 / 30  # no watcher gets more messages a second than it can draw


class Run:
    """One run: what was asked for, what happened, and the same as motions, each encoded once for all watchers."""

    def __init__(self, id: str, scenario: Scenario, by: str = "", words: Sequence[str] = ()) -> None:
        self.id = id  # whoever knows it may watch
        self.by = by  # the learner whose it is; "" if nobody's
        self.words = list(words)  # prompts that somebody wrote
        self.key = secrets.token_urlsafe(9)  # whoever has it may also change the link, cancel orders and kill workers
        self.scenario = scenario
        self.events: list[Event] = []
        self.over = False
        self.ended_at = ""  # UTC, ISO 8601
        self.refused = ""  # why it never began
        self.declined = ""  # why the last change that was asked for could not be made
        self._motions = Motions()
        self._encoded: list[str] = []
        self._clock: tuple[float, float] | None = None  # (the run's clock, ours) when it was last heard of
        self._changed = asyncio.Event()

    def happened(self, events: Sequence[Event], now_s: float) -> None:
        self.events += events
        self._encoded += [json.dumps(motion) for event in events for motion in self._motions.fold(event)]
        self._clock = (now_s, time.monotonic())
        self._wake()

    @property
    def kind(self) -> Kind:
        """The deployment it is in now; it may have changed in the middle."""
        for event in reversed(self.events):
            if isinstance(event, Deployed):
                return event.deployment
        return self.scenario.deployment.kind

    def end(self, refused: str = "") -> None:
        self.ended_at = now()
        self.over, self.refused = True, refused  # last: who sees that it is over may ask when
        self._wake()

    async def watch(self, since: int) -> AsyncIterator[str]:
        """Messages for one watcher that has seen the first `since` motions, until the run is over."""
        place = max(0, min(since, len(self._encoded)))
        while True:
            changed = self._changed  # taken before looking, so that nothing can happen in between unseen
            if place < len(self._encoded):
                fresh, place = self._encoded[place:], len(self._encoded)
                yield f'{{"seq": {place}, "now": {self._now_s():.4f}, "motions": [{", ".join(fresh)}]}}'
            if self.over and place == len(self._encoded):
                yield json.dumps({"over": True, "refused": self.refused})
                return
            await asyncio.gather(changed.wait(), asyncio.sleep(FRAME_S))

    def _now_s(self) -> float:
        if self._clock is None:
            return 0.0
        run_s, heard_s = self._clock
        return run_s + time.monotonic() - heard_s

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Hub:
    """The runs that can be watched, newest last; old ones that are over make room."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.wanted: Callable[[], Container[str]] = frozenset  # runs that make no room, though they are over
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call(self, act: Callable[[], None]) -> None:
        """Do it on the event loop's thread, soon."""
        assert self._loop is not None, "the hub has no event loop yet"
        self._loop.call_soon_threadsafe(act)

    def add(self, run: Run) -> None:
        """From any thread: nobody watches it yet."""
        self.runs[run.id] = run
        wanted = self.wanted()
        finished = [old for old in list(self.runs.values()) if old.over and old.id not in wanted]
        for old in finished[: max(0, len(self.runs) - RUNS_KEPT)]:
            self.runs.pop(old.id, None)
