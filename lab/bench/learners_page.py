"""A learner's page of a class without a browser: it joins, hears what it is to show, votes, watches, and plays the
game.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed

from lab.bench.streamlit_client import road
from lab.ui.learner import COOKIE

ANSWER_S = 30.0


class LearnersPage:
    """`took` is called for each thing that was sent, with the seconds until its answer. `drawn`: every step that it was
    told to show, and when. `hears`: is called with each text that comes over its socket."""

    def __init__(
        self,
        host: str,
        room: str,
        cookie: str,
        took: Callable[[float], None] = lambda seconds: None,
        hears: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._host, self._room, self._cookie, self._took, self._hears = host, room, cookie, took, hears
        self.page: dict[str, Any] = {}
        self.drawn: list[tuple[str, float]] = []
        self.errors: list[str] = []
        self._line: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LearnersPage":
        await self.send("join", code=self._room)
        self._line = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.cancel()
            await asyncio.gather(self._line, return_exceptions=True)

    async def send(self, act: str, **said: object) -> str:
        """Returns why it was not done; "" if it was."""
        began_s = time.monotonic()
        status, answer = await post(self._host, f"/lab/class/{act}", said, self._cookie)
        self._took(time.monotonic() - began_s)
        if status not in (200, 409):
            self.errors.append(f"{act}: {status}")
            return str(status)
        self._show(answer["page"])
        return str(answer["why"])

    async def vote(self, value: object, confidence: str) -> str:
        guess = {"value": value, "confidence": confidence}
        return await self.send("vote", vote={"asked": self.page["asked"], "guess": guess})

    async def game(self) -> dict[str, Any]:
        """The round that the game's page has for this learner."""
        status, body = await asked(self._host, f"/play?room={self._room}", None, self._cookie)
        found = re.search(rb'id="data">(.*?)</script>', body)
        if status != 200 or found is None:
            raise RuntimeError(f"the game's page: {status}")
        round_: dict[str, Any] = json.loads(found[1])["asked"]
        return round_

    async def move(self, moves: dict[str, Any]) -> dict[str, Any]:
        """Where they lead."""
        status, said = await post(self._host, "/lab/play", moves, self._cookie)
        if status != 200:
            raise RuntimeError(f"a move: {status}, {said}")
        answer: dict[str, Any] = said["answer"]
        return answer

    async def _follow(self) -> None:
        path = f"/lab/class?room={self._room}&sees=page"
        with suppress(ConnectionClosed):
            async with road(self._host, path, additional_headers={"Cookie": f"{COOKIE}={self._cookie}"}) as socket:
                while True:
                    text = await socket.recv(decode=True)
                    self._hears(text)
                    if text.startswith('{"page"'):
                        self._show(json.loads(text)["page"])
        self.errors.append("the lab has hung up on a learner's page")

    def _show(self, page: dict[str, Any]) -> None:
        if page["step"] != self.page.get("step"):
            self.drawn.append((page["step"], time.monotonic()))
        self.page = page


async def post(host: str, path: str, said: object, cookie: str) -> tuple[int, Any]:
    """What is said as JSON. Returns the status and the answer."""
    status, content = await asked(host, path, json.dumps(said).encode(), cookie)
    return status, json.loads(content) if content.startswith(b"{") else None


async def asked(host: str, path: str, body: bytes | None, cookie: str) -> tuple[int, bytes]:
    """One request on a connection of its own; a page without a `body`. Returns the status and what comes."""
    name, _, port = host.partition(":")
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(name, int(port))
        head = (
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
            f"Cookie: {COOKIE}={cookie}\r\nConnection: close\r\n"
        )
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}\r\n".encode() + (body or b""))
        answer = await reader.read()
        writer.close()
    status, _, content = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), content
