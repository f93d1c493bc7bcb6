"""How a class stands, and where it is for each kind of viewer; looked at once for all its pages. No Streamlit.

What counts as elsewhere depends on the viewer: a learner's page shows the learner's own offer too, and a list of offers
shows nothing else.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, Protocol

from lab.classroom.actions import ClassActions
from lab.classroom.games import Games
from lab.classroom.offers import Offers
from lab.classroom.presence import Presence, digest, known_as
from lab.classroom.service import topic
from lab.classroom.store import Room
from lab.course.evidence_runs import Gathering, says
from lab.course.gathering_feed import shown
from lessons.lesson import Lesson, Round

LOOK_S = 0.25  # between two looks at a class, however many pages it has
# the whole class; a learner's page of it, or the wall; or one thing alone
Sees = Literal["", "page", "wall", "away", "offers", "members"]


class UpdateClock(NamedTuple):
    """Real time, unless a test brings its own. Seconds."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


REAL = UpdateClock()


class Service(Protocol):
    """What live updates need of a classroom."""

    @property
    def actions(self) -> ClassActions: ...
    @property
    def offers(self) -> Offers: ...
    @property
    def games(self) -> Games: ...
    @property
    def presence(self) -> Presence: ...
    def headcount(self, room: Room) -> int: ...
    def gathering(self, room: Room, lesson: Lesson, asked: Round) -> Gathering | None: ...


class Stand(NamedTuple):
    """How a class stands. `at` identifies its place without revealing it, and `run` does so for its runs.
    `says`: the status line. `done`: the share of the runs that is over; None outside of runs. `begun`: the runs."""

    at: str
    says: str
    done: float | None = None
    run: str = ""
    begun: Gathering | None = None


def stand(classroom: Service, room: Room) -> Stand:
    """How the class stands. Advances its runs: whoever looks does."""
    asked = room.question
    found = topic(asked) if asked and asked.running and asked.answer is None and room.pace == "step" else None
    begun = classroom.gathering(room, *found) if found else None
    run = digest((begun.id, shown(begun)) if begun else None) if found else ""
    game = classroom.games.of(room.code) if room.pace == "play" else None
    at = digest(room.code, room.pace, asked, classroom.offers.up(room.code), game)
    if game is not None:
        return Stand(at, " · ".join(filter(None, [_finished(classroom, room), timer(room)])))
    parts = [turnout(room, classroom.headcount(room)), _state(room), timer(room)]
    if begun:
        parts.append(begun.stopped or says(begun))
        return Stand(at, " · ".join(filter(None, parts)), begun.done / begun.total, run, begun)
    if found:
        parts.append("the engine is done, the instructor shows the answer")
    return Stand(at, " · ".join(filter(None, parts)), run=run)


class Look(NamedTuple):
    """One look at a class, begun at `at_s`. What viewers may see is in digests; learners are `known_as(name)`."""

    at_s: float
    stand: Stand
    in_step: bool
    own: dict[str, str]  # each learner's offer
    votes: dict[str, int]  # how often each has voted on the question
    joined: frozenset[str]
    members: str
    points: dict[str, str]  # each learner's in the class's game,
    signed: str  # and the names that some of them offer

    def at(self, sees: Sees = "", own: str = "") -> str:
        """Where the class is for a viewer. `own`: the learner, "" for instructor and projector."""
        match sees:
            case "page":
                mine = f"{self.own.get(own)} {self.votes.get(own, 0)} {own in self.joined} {self.points.get(own)}"
                return f"{self.stand.at} {mine}"  # five hundred at each look; it goes nowhere
            case "away":
                return digest(self.in_step, self.own.get(own))
            case "offers":
                return digest(self.own)
            case "members":
                return self.members
            case "wall":
                return digest(self.stand.at, self.points)
        return self.stand.at + self.stand.run + self.signed


def look_at(classroom: Service, room: Room, at_s: float = 0.0) -> Look:
    """The class as it is at `at_s`, in digests: two looks that are equal need no new page."""
    own = {known_as(learner): digest(offer) for learner, offer in classroom.offers.by_learner(room.code).items()}
    every = list(map(known_as, classroom.actions.learners(room.code)))
    here = classroom.presence.those_here(every)
    members = digest(classroom.actions.roster(room.code), [who in here for who in every])
    votes = dict(Counter(map(known_as, classroom.actions.voters(room))))
    joined = frozenset(map(known_as, classroom.actions.joined(room.code)))
    played = classroom.games.points(room.code) if room.pace == "play" else {}
    points = {known_as(learner): digest(point) for learner, point in played.items()}
    names = [point.nickname for point in played.values() if point.nickname]
    signed = digest(names) if names else ""
    return Look(at_s, stand(classroom, room), room.together, own, votes, joined, members, points, signed)


def turnout(room: Room, here: int) -> str:
    """How many have voted, and nothing about their votes."""
    asked = room.question
    if asked is None or room.pace == "free":
        return f"{here} here"
    what = "voted" if asked.vote == 1 else "voted again"
    return f"{room.voted[asked.vote - 1]} of {here} have {what}"


def _finished(classroom: Service, room: Room) -> str:
    """How many have a point in the class's game, of those who are here or have one."""
    played = set(classroom.games.points(room.code))
    here = {one for one in classroom.actions.joined(room.code) if classroom.presence.here(known_as(one))}
    return f"{len(played)} of {len(played | here)} have finished a round"


def timer(room: Room) -> str:
    """The time left, as 1:05; "" without a timer."""
    if not room.timer_s:
        return ""
    left_s = round(room.timer_s - time.time())
    return f"{left_s // 60}:{left_s % 60:02d} left" if left_s > 0 else "time is up"


def _state(room: Room) -> str:
    at = room.question
    if at is None or room.pace == "free" or at.answer is not None or at.running:
        return ""
    if not at.open:
        return "talk it over"
    return "vote alone" if at.vote == 1 else "vote again"


# ---- once for all

Concerns = Callable[[Look], bool]


class Looks:
    """What was last seen of each class, for all its pages; None for an unknown class. A look older than `look_s` is
    made again for the next caller."""

    def __init__(self, classroom: Service, look_s: float = LOOK_S, clock: UpdateClock = REAL) -> None:
        self._classroom = classroom
        self._look_s = look_s
        self._clock = clock
        self._seen: dict[str, Look] = {}
        self.presence = classroom.presence
        self._lock = asyncio.Lock()
        self._followed: dict[str, dict[asyncio.Event, Concerns | None]] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    async def look(self, code: str) -> Look | None:
        if (fresh := self._fresh(code)) is not None:
            return fresh
        async with self._lock:
            if (fresh := self._fresh(code)) is not None:
                return fresh
            self._seen.pop(code, None)
            seen = await asyncio.to_thread(self._look, code)
            if seen is not None:
                self._seen[code] = seen
            return seen

    def _fresh(self, code: str) -> Look | None:
        """Without a lock: five hundred pages that wait for one are each as slow as all."""
        seen = self._seen.get(code)
        return seen if seen is not None and self._clock.now_s() - seen.at_s < self._look_s else None

    def _look(self, code: str) -> Look | None:
        at_s = self._clock.now_s()
        room = self._classroom.actions.room(code)
        return look_at(self._classroom, room, at_s) if room else None

    @contextmanager
    def following(self, code: str, stirred: asyncio.Event, concerns: Concerns | None = None) -> Iterator[None]:
        """`stirred` is set when the class looks different, or after each look that `concerns` a page: five hundred of
        them need not look for themselves, nor wake up for every vote of the others."""
        pages = self._followed.setdefault(code, {})
        pages[stirred] = concerns
        if code not in self._watching or self._watching[code].done():
            self._watching[code] = asyncio.create_task(self._watch(code, pages))
        try:
            yield
        finally:
            del pages[stirred]
            if not pages:
                self._watching.pop(code).cancel()
                del self._followed[code]

    async def _watch(self, code: str, pages: dict[asyncio.Event, Concerns | None]) -> None:
        before: Look | None = None
        try:
            while True:
                seen = await self.look(code)
                changed = seen is None or before is None or seen._replace(at_s=before.at_s) != before
                for stirred, concerns in pages.items():
                    if changed if concerns is None or seen is None else concerns(seen):
                        stirred.set()
                before = seen
                await self._clock.sleep(self._look_s)
        finally:
            for stirred in pages:
                stirred.set()  # if a look has failed, each page's own look fails too, and its browser reconnects
