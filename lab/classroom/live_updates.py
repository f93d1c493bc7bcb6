"""A class's pulse: each of its pages hears over a socket how the class stands, and when to be drawn anew.

A page says where the class was when it was drawn (`at`). Once the class is elsewhere, the page is told, in its turn:
all at once they would only wait for each other. Nothing is polled by pages, and a page that has nothing new to show
is not run. What is where depends on who looks: a learner's page shows the own offer too, a list of offers nothing else.
No Streamlit.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Literal, NamedTuple

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from lab.classroom.service import gathering, offers, rooms, topic
from lab.classroom.store import Room
from lab.course.evidence_runs import says
from lab.ui.page_turns import busy

LOOK_S = 0.25  # between two looks at a class, however many pages it has
LINE_S = 1.0  # between two lines to a learner: while all vote, sixty would be told of each
PAGE_S = 0.025  # between two pages that are drawn anew
BUSY_S, BUSY_LOOKS = 0.005, 50  # between two looks whether a page is drawn; after the last, the next is told anyway
AGAIN_S = 5.0  # a page that was told and is still not anew is told once more
UNKNOWN_CLASS = 4404
Sees = Literal["", "away", "offers", "members", "run"]  # all that a class is at, or one thing alone


class Stand(NamedTuple):
    """`at` tells one place of a class from another, and nothing of what is there; `run` does so for the run for all.
    `done`: the share of it that is behind it; None without one."""

    at: str
    says: str
    done: float | None = None
    run: str = ""


def stand(room: Room) -> Stand:
    """How things stand, and one step on if a run is over: whoever looks moves the class's runs on."""
    asked = room.question
    found = topic(asked) if asked and asked.running and asked.answer is None and room.pace == "step" else None
    begun = gathering(room, *found) if found else None
    run = digest((begun.run, begun.stopped, begun.measuring) if begun else None) if found else ""
    at = digest(room.code, room.pace, asked, offers().up(room.code))
    parts = [turnout(room), _state(room), timer(room)]
    if begun:
        parts.append(begun.stopped or says(begun))
        return Stand(at, " · ".join(filter(None, parts)), begun.done / begun.total, run)
    if found:
        parts.append("the engine is done, the instructor shows the answer")
    return Stand(at, " · ".join(filter(None, parts)), run=run)


def digest(*told: object) -> str:
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


class Look(NamedTuple):
    """At a class, begun at `at_s`. What each may see of it is in digests; a learner stands there as `digest(name)`."""

    at_s: float
    stand: Stand
    in_step: bool
    own: dict[str, str]  # the offer of each learner who has made one
    members: str

    def at(self, sees: Sees = "", own: str = "") -> str:
        """`own` is nobody's for who leads: there the run is part of all, elsewhere it is drawn by itself."""
        match sees:
            case "away":
                return digest(self.in_step, self.own.get(own))
            case "offers":
                return digest(self.own)
            case "members":
                return self.members
            case "run":
                return self.stand.run
        return self.stand.at + (self.own.get(own, "") if own else self.stand.run)


def look_at(room: Room) -> Look:
    at_s, step = time.monotonic(), room.pace == "step" and room.question is not None
    own = {digest(learner): digest(offer) for learner, offer in offers().by_learner(room.code).items()}
    return Look(at_s, stand(room), step, own, digest(rooms().roster(room.code)))


def turnout(room: Room) -> str:
    """How many have voted, and nothing of what."""
    asked = room.question
    if asked is None or room.pace == "free":
        return f"{room.members} here"
    what = "voted" if asked.vote == 1 else "voted again"
    return f"{room.voted[asked.vote - 1]} of {room.members} have {what}"


def timer(room: Room) -> str:
    """What is left, as 1:05; "" without a timer."""
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


# ---- the socket


class Turns:
    """One after the other, `each_s` apart and while no page is drawn: some take longer than that, and who is told then
    would only wait in another line. Nobody waits who has nobody before him."""

    def __init__(self, each_s: float, busy: Callable[[], bool] = busy) -> None:
        self._each_s = each_s
        self._busy = busy
        self._line = asyncio.Lock()
        self._next_s = 0.0

    async def take(self) -> None:
        async with self._line:
            await asyncio.sleep(self._next_s - time.monotonic())
            for _ in range(BUSY_LOOKS):
                if not self._busy():
                    break
                await asyncio.sleep(BUSY_S)
            self._next_s = time.monotonic() + self._each_s


class Looks:
    """What was seen of each class; looked at anew once it is LOOK_S old, by whoever asks first. None for a class that
    is not there."""

    def __init__(self) -> None:
        self._seen: dict[str, Look] = {}
        self._lock = asyncio.Lock()
        self._followed: dict[str, set[asyncio.Event]] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    async def look(self, code: str) -> Look | None:
        async with self._lock:
            seen = self._seen.get(code)
            if seen is None or time.monotonic() - seen.at_s >= LOOK_S:
                self._seen.pop(code, None)
                seen = await asyncio.to_thread(_look_at, code)
                if seen is not None:
                    self._seen[code] = seen
            return seen

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
                await asyncio.sleep(LOOK_S)
        finally:
            _stir(pages)  # what went wrong here, each page's own look will meet, and its browser come back


def _stir(pages: set[asyncio.Event]) -> None:
    for stirred in pages:
        stirred.set()


def _look_at(code: str) -> Look | None:
    room = rooms().room(code)
    return look_at(room) if room else None


LOOKS, TURNS = Looks(), Turns(PAGE_S)


class Drawn(msgspec.Struct):
    """A page says where the class was when it was drawn."""

    at: str


class Follower:
    """A page, and what it has said."""

    def __init__(self) -> None:
        self.at = ""
        self.heard_s = inf  # when it said so
        self.stirred = asyncio.Event()  # it has said something, or its class looks different


async def follow(socket: WebSocket) -> None:
    """`room`: its code; `sees`, `own`: as `Look.at` takes them; `leads`: drawn at once, whoever else is. The page says
    `Drawn`, first of all."""
    await socket.accept()
    page = Follower()
    tell = asyncio.create_task(_tell(socket, page))
    hear = asyncio.create_task(_hear(socket, page))
    await asyncio.wait({tell, hear}, return_when=asyncio.FIRST_COMPLETED)
    tell.cancel()
    hear.cancel()
    for gone in await asyncio.gather(tell, hear, return_exceptions=True):
        if isinstance(gone, Exception):
            raise gone


async def _tell(socket: WebSocket, page: Follower) -> None:
    asked = socket.query_params
    code, sees, own, leads = asked.get("room", ""), asked.get("sees", ""), asked.get("own", ""), "leads" in asked
    said, said_s, told, told_s = "", 0.0, "", 0.0
    with suppress(WebSocketDisconnect, RuntimeError), LOOKS.following(code, page.stirred):  # until it has gone
        while True:
            page.stirred.clear()
            seen = await LOOKS.look(code)
            if seen is None:
                await socket.send_text(_json(anew=""))
                await socket.close(UNKNOWN_CLASS, "no such class")
                return
            line = "" if sees else _json(says=seen.stand.says, done=seen.stand.done)
            if line != said and (leads or time.monotonic() > said_s + LINE_S):
                await socket.send_text(line)
                said, said_s = line, time.monotonic()
            at = seen.at(sees, own)  # type: ignore[arg-type]  # whatever else is asked for, is all
            elsewhere = at != page.at and seen.at_s > page.heard_s  # what was seen before it was drawn, is old
            if elsewhere and (at != told or time.monotonic() > told_s + AGAIN_S):
                if not leads:
                    await TURNS.take()
                told, told_s = at, time.monotonic()
                if page.at != told:  # else its visitor has done something meanwhile
                    await socket.send_text(_json(anew=told))
            if at == page.at and line == said:
                await page.stirred.wait()
            else:
                await asyncio.sleep(LOOK_S)


def _json(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()


async def _hear(socket: WebSocket, page: Follower) -> None:
    while (heard := await socket.receive())["type"] == "websocket.receive":
        with suppress(msgspec.DecodeError):
            said = msgspec.json.decode(heard.get("text") or heard.get("bytes") or b"", type=Drawn)
            page.at, page.heard_s = said.at, time.monotonic()
            page.stirred.set()
