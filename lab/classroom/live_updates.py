"""Live updates for a class's pages: over a socket, each hears how the class stands and what to show. No Streamlit.

A learner's page and the wall are sent whole whenever they say something else, and each of the class's runs as it
happens. Streamlit's pages, such as the instructor's, are told to rerun: they say where the class was when they were
drawn (`at`). Pages poll nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress
from functools import lru_cache
from math import inf

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from lab.classroom.looks import LOOK_S, REAL, Look, Looks, UpdateClock
from lab.classroom.presence import known_as
from lab.classroom.together import Together
from lab.course import gathering_feed
from lab.course.evidence_runs import Gathering

LINE_S = 1.0  # between two status lines to a learner: while all vote, sixty pages would hear of each vote
AGAIN_S = 5.0  # a page that was told and has not rerun is told again
UNKNOWN_CLASS = 4404
UNTIL_IT_HAS_GONE = suppress(WebSocketDisconnect, RuntimeError)


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


class Runs:
    """A class's runs, sent to one page as they happen, over the page's own socket: to connect five hundred more while
    the first tokens are on their way makes these late."""

    def __init__(self, socket: WebSocket) -> None:
        self.of: Gathering | None = None  # what is sent, or was sent last
        self._socket = socket
        self._sending: asyncio.Task[None] | None = None

    def send(self, begun: Gathering) -> None:
        """From the first event of the run that is on, if that is not done already."""
        if begun is not self.of:
            self.close()
            self.of = begun
            self._sending = asyncio.create_task(self._send(begun))

    def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self, begun: Gathering) -> None:
        with UNTIL_IT_HAS_GONE:
            async for message in gathering_feed.runs(begun, here="here" in self._socket.query_params):
                await self._socket.send_text(message)


class LiveUpdates:
    """The sockets of all classes. Used on the event loop's thread."""

    def __init__(
        self,
        looks: Looks,
        page: Callable[[str], object],
        wall: Callable[[str], object],
        look_s: float = LOOK_S,
        line_s: float = LINE_S,
        clock: UpdateClock = REAL,
        together: Together | None = None,
    ):
        """What a learner's `page` shows now, and the `wall` of the class with a code. They are called in a thread, all
        that are wanted at the same time `together`."""
        self._looks, self._page, self._wall = looks, page, wall
        self._look_s, self._line_s = look_s, line_s
        self._clock = clock
        self._together = together or Together()

    async def follow(self, socket: WebSocket, learner: str) -> None:
        """Serve one page of `learner`; "" for a page that says first of all who it is (`Me`). Its address has `room`:
        the code; `sees`: as `Look.at` takes it; `leads`: hears each vote at once; `here`: its browser is on the
        engine's own machine. One of Streamlit's sends `Drawn`, first of all, and its address says whose it is (`own`).
        """
        await socket.accept()
        page = Follower()
        own, sees, code = (socket.query_params.get(name, "") for name in ("own", "sees", "room"))
        if sees == "page":
            learner = learner or await _introduced(socket)
            own = known_as(learner)
        with self._looks.presence.page(own):
            if sees == "page":
                serve = self._show(socket, page, own, lambda: self._page(learner))
            elif sees == "wall":
                serve = self._show(socket, page, "", lambda: self._wall(code))
            else:
                serve = self._tell(socket, page, own)
            tell = asyncio.create_task(serve)
            hear = asyncio.create_task(self._hear(socket, page))
            await asyncio.wait({tell, hear}, return_when=asyncio.FIRST_COMPLETED)
            tell.cancel()
            hear.cancel()
            for gone in await asyncio.gather(tell, hear, return_exceptions=True):
                if isinstance(gone, Exception):
                    raise gone

    async def _show(self, socket: WebSocket, page: Follower, own: str, drawn: Callable[[], object]) -> None:
        """Keep a light page true: what is `drawn` of the class, its status line, and its runs."""
        code, sees = socket.query_params.get("room", ""), socket.query_params["sees"]
        runs = Runs(socket)
        said: tuple[str, float | None] = ("", None)
        said_s = 0.0

        def late(seen: Look) -> bool:
            return (seen.stand.says, seen.stand.done) != said and self._clock.now_s() > said_s + self._line_s

        def concerns(seen: Look) -> bool:
            return late(seen) or seen.at(sees, own) != page.at or begins(seen)  # type: ignore[arg-type]

        def begins(seen: Look) -> bool:
            return seen.stand.begun is not None and seen.stand.begun is not runs.of

        with UNTIL_IT_HAS_GONE, closing(runs), self._looks.following(code, page.stirred, concerns):
            while (seen := await self._looks.look(code)) is not None:
                if late(seen):
                    said, said_s = (seen.stand.says, seen.stand.done), self._clock.now_s()
                    await socket.send_text(_line(*said))
                if (at := seen.at(sees, own)) != page.at:  # type: ignore[arg-type]
                    page.at = at
                    await socket.send_text(await self._together.call(lambda: _json(page=drawn())))
                if seen.stand.begun is not None:  # after the page that has a place for them
                    runs.send(seen.stand.begun)
                await page.stirred.wait()
                page.stirred.clear()
            await socket.close(UNKNOWN_CLASS, "no such class")

    async def _tell(self, socket: WebSocket, page: Follower, own: str) -> None:
        """Have a page of Streamlit's rerun whenever the class is elsewhere."""
        asked = socket.query_params
        code, sees, leads = asked.get("room", ""), asked.get("sees", ""), "leads" in asked
        said, said_s, told, told_s = "", 0.0, "", 0.0
        with UNTIL_IT_HAS_GONE, self._looks.following(code, page.stirred):
            while True:
                page.stirred.clear()
                seen = await self._looks.look(code)
                if seen is None:
                    await socket.send_text(_json(anew=""))
                    await socket.close(UNKNOWN_CLASS, "no such class")
                    return
                line = "" if sees else _line(seen.stand.says, seen.stand.done)
                if line != said and (leads or self._clock.now_s() > said_s + self._line_s):
                    await socket.send_text(line)
                    said, said_s = line, self._clock.now_s()
                at = seen.at(sees, own)  # type: ignore[arg-type]  # any other word means the whole class
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


@lru_cache(8)  # five hundred pages hear the same
def _line(says: str, done: float | None) -> str:
    return _json(says=says, done=done)


def _json(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()
