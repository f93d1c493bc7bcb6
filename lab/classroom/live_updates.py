"""Live updates for a class's pages: over a socket, each hears how the class stands and what to show. No Streamlit.

A learner's page is sent whole whenever it says something else. Streamlit's pages, the instructor's and the wall's, are
told to rerun: they say where the class was when they were drawn (`at`). Pages poll nothing. What counts as elsewhere
depends on the viewer: a learner's page shows the learner's own offer too, and a list of offers shows nothing else.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Literal, NamedTuple, Protocol

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from lab.classroom.actions import ClassActions
from lab.classroom.offers import Offers
from lab.classroom.presence import Presence, digest
from lab.classroom.service import topic
from lab.classroom.store import Room
from lab.course.evidence_runs import Gathering, says
from lessons.lesson import Lesson, Round

LOOK_S = 0.25  # between two looks at a class, however many pages it has
LINE_S = 1.0  # between two status lines to a learner: while all vote, sixty pages would hear of each vote
AGAIN_S = 5.0  # a page that was told and has not rerun is told again
UNKNOWN_CLASS = 4404
Sees = Literal["", "page", "away", "offers", "members"]  # the whole class, a learner's page of it, or one thing alone


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
    def presence(self) -> Presence: ...
    def headcount(self, room: Room) -> int: ...
    def gathering(self, room: Room, lesson: Lesson, asked: Round) -> Gathering | None: ...


class Stand(NamedTuple):
    """How a class stands. `at` identifies its place without revealing it, and `run` does so for its current run.
    `says`: the status line. `done`: the share of the runs that is over; None outside of runs."""

    at: str
    says: str
    done: float | None = None
    run: str = ""


def stand(classroom: Service, room: Room) -> Stand:
    """How the class stands. Advances its runs: whoever looks does."""
    asked = room.question
    found = topic(asked) if asked and asked.running and asked.answer is None and room.pace == "step" else None
    begun = classroom.gathering(room, *found) if found else None
    run = digest((begun.run, begun.stopped, begun.measuring) if begun else None) if found else ""
    at = digest(room.code, room.pace, asked, classroom.offers.up(room.code))
    parts = [turnout(room, classroom.headcount(room)), _state(room), timer(room)]
    if begun:
        parts.append(begun.stopped or says(begun))
        return Stand(at, " · ".join(filter(None, parts)), begun.done / begun.total, run)
    if found:
        parts.append("the engine is done, the instructor shows the answer")
    return Stand(at, " · ".join(filter(None, parts)), run=run)


class Look(NamedTuple):
    """One look at a class, begun at `at_s`. What viewers may see is in digests; learners are `digest(name)`."""

    at_s: float
    stand: Stand
    in_step: bool
    own: dict[str, str]  # each learner's offer
    votes: dict[str, int]  # how often each has voted on the question
    joined: frozenset[str]
    members: str

    def at(self, sees: Sees = "", own: str = "") -> str:
        """Where the class is for a viewer. `own`: the learner, "" for instructor and projector."""
        match sees:
            case "page":
                mine = (self.own.get(own), self.votes.get(own, 0), own in self.joined)
                return digest(self.stand.at, self.stand.run, mine)
            case "away":
                return digest(self.in_step, self.own.get(own))
            case "offers":
                return digest(self.own)
            case "members":
                return self.members
        return self.stand.at + self.stand.run


def look_at(classroom: Service, room: Room, at_s: float = 0.0) -> Look:
    """The class as it is at `at_s`, in digests: two looks that are equal need no new page."""
    step = room.pace == "step" and room.question is not None
    own = {digest(learner): digest(offer) for learner, offer in classroom.offers.by_learner(room.code).items()}
    present = [classroom.presence.here(who) for who in classroom.actions.digests(room.code)]
    members = digest(classroom.actions.roster(room.code), present)
    votes = dict(Counter(map(digest, classroom.actions.voters(room))))
    joined = frozenset(map(digest, classroom.actions.joined(room.code)))
    return Look(at_s, stand(classroom, room), step, own, votes, joined, members)


def turnout(room: Room, here: int) -> str:
    """How many have voted, and nothing about their votes."""
    asked = room.question
    if asked is None or room.pace == "free":
        return f"{here} here"
    what = "voted" if asked.vote == 1 else "voted again"
    return f"{room.voted[asked.vote - 1]} of {here} have {what}"


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


# ---- looking, once for all


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
        self._followed: dict[str, set[asyncio.Event]] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    async def look(self, code: str) -> Look | None:
        async with self._lock:
            seen = self._seen.get(code)
            if seen is None or self._clock.now_s() - seen.at_s >= self._look_s:
                self._seen.pop(code, None)
                seen = await asyncio.to_thread(self._look, code)
                if seen is not None:
                    self._seen[code] = seen
            return seen

    def _look(self, code: str) -> Look | None:
        at_s = self._clock.now_s()
        room = self._classroom.actions.room(code)
        return look_at(self._classroom, room, at_s) if room else None

    @contextmanager
    def following(self, code: str, stirred: asyncio.Event) -> Iterator[None]:
        """`stirred` is set when the class looks different: two hundred pages need not look for themselves."""
        pages = self._followed.setdefault(code, set())
        pages.add(stirred)
        if code not in self._watching or self._watching[code].done():
            self._watching[code] = asyncio.create_task(self._watch(code, pages))
        try:
            yield
        finally:
            pages.discard(stirred)
            if not pages:
                self._watching.pop(code).cancel()
                del self._followed[code]

    async def _watch(self, code: str, pages: set[asyncio.Event]) -> None:
        before: Look | None = None
        try:
            while True:
                seen = await self.look(code)
                if seen is None or before is None or seen._replace(at_s=before.at_s) != before:
                    _stir(pages)
                before = seen
                await self._clock.sleep(self._look_s)
        finally:
            _stir(pages)  # if a look has failed, each page's own look fails too, and its browser reconnects


def _stir(pages: set[asyncio.Event]) -> None:
    for stirred in pages:
        stirred.set()


# ---- the socket


class Drawn(msgspec.Struct):
    """A page says where the class was when the page was drawn."""

    at: str


class Me(msgspec.Struct):
    """A learner's page says who it is, where no cookie does. Not in its address: those are written down."""

    me: str


async def _introduced(socket: WebSocket) -> str:
    """Whose page it is; "" if it does not say."""
    with suppress(WebSocketDisconnect, msgspec.DecodeError, KeyError):
        return msgspec.json.decode(await socket.receive_text(), type=Me).me
    return ""


class Follower:
    """A page, and what it has said."""

    def __init__(self) -> None:
        self.at = ""
        self.heard_s = inf  # when it said so
        self.stirred = asyncio.Event()  # it has said something, or its class looks different


class LiveUpdates:
    """The sockets of all classes. Used on the event loop's thread."""

    def __init__(
        self,
        looks: Looks,
        page: Callable[[str], object],
        look_s: float = LOOK_S,
        line_s: float = LINE_S,
        clock: UpdateClock = REAL,
    ):
        """`page`: what a learner's page shows now. It is called in a thread."""
        self._looks, self._page = looks, page
        self._look_s, self._line_s = look_s, line_s
        self._clock = clock

    async def follow(self, socket: WebSocket, learner: str) -> None:
        """Serve one page of `learner`; "" for a page that says first of all who it is (`Me`). Its address has `room`:
        the code; `sees`: as `Look.at` takes it; `leads`: hears each vote at once. One of Streamlit's sends `Drawn`,
        first of all, and its address says whose it is (`own`)."""
        await socket.accept()
        page = Follower()
        own = socket.query_params.get("own", "")
        if socket.query_params.get("sees") == "page":
            learner = learner or await _introduced(socket)
            own = digest(learner)
        with self._looks.presence.page(own):
            tell = asyncio.create_task(self._tell(socket, page, learner, own))
            hear = asyncio.create_task(self._hear(socket, page))
            await asyncio.wait({tell, hear}, return_when=asyncio.FIRST_COMPLETED)
            tell.cancel()
            hear.cancel()
            for gone in await asyncio.gather(tell, hear, return_exceptions=True):
                if isinstance(gone, Exception):
                    raise gone

    async def _tell(self, socket: WebSocket, page: Follower, learner: str, own: str) -> None:
        asked = socket.query_params
        code, sees, leads = asked.get("room", ""), asked.get("sees", ""), "leads" in asked
        says = sees in ("", "page")
        said, said_s, told, told_s = "", 0.0, "", 0.0
        until_it_has_gone = suppress(WebSocketDisconnect, RuntimeError)
        with until_it_has_gone, self._looks.following(code, page.stirred):
            while True:
                page.stirred.clear()
                seen = await self._looks.look(code)
                if seen is None:
                    if sees != "page":
                        await socket.send_text(_json(anew=""))
                    await socket.close(UNKNOWN_CLASS, "no such class")
                    return
                line = _json(says=seen.stand.says, done=seen.stand.done) if says else ""
                if line != said and (leads or self._clock.now_s() > said_s + self._line_s):
                    await socket.send_text(line)
                    said, said_s = line, self._clock.now_s()
                at = seen.at(sees, own)  # type: ignore[arg-type]  # any other word means the whole class
                if sees == "page":
                    if at != page.at:
                        page.at = at
                        await socket.send_text(_json(page=await asyncio.to_thread(self._page, learner)))
                else:
                    elsewhere = at != page.at and seen.at_s > page.heard_s  # an older look is of before it was drawn
                    if elsewhere and (at != told or self._clock.now_s() > told_s + AGAIN_S):
                        told, told_s = at, self._clock.now_s()
                        await socket.send_text(_json(anew=told))
                if at == page.at and line == said:
                    await page.stirred.wait()
                else:
                    await self._clock.sleep(self._look_s)

    async def _hear(self, socket: WebSocket, page: Follower) -> None:
        while (heard := await socket.receive())["type"] == "websocket.receive":
            with suppress(msgspec.DecodeError):
                said = msgspec.json.decode(heard.get("text") or heard.get("bytes") or b"", type=Drawn)
                page.at, page.heard_s = said.at, self._clock.now_s()
                page.stirred.set()


def _json(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()
