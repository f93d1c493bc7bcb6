"""Sockets that do not listen, on the real server that the lab runs in; and how many sockets one client may have."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from lab.ui.learner import COOKIE
from lab.web.allowed_hosts import Hosts, same_origin
from lab.web.base_path import BasePath
from lab.web.callers import Callers, MostSockets
from lab.web.guard import DOOR, Guard
from lab.web.limited_socket import STREAMLITS, LimitedSocket
from tests.lab.web.test_allowed_hosts import answered
from tests.patience import PATIENCE_S

PIECE = b"x" * 200_000
KNOCK = (
    b"GET /s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Talker:
    """An app that talks to its socket without end, and what became of it."""

    def __init__(self, stalled_s: float) -> None:
        self.stalled_s = stalled_s
        self.sent, self.ended = 0, asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = LimitedSocket(receive, send, STREAMLITS, self.stalled_s)
        await line.receive()
        await line.send({"type": "websocket.accept"})
        try:
            while True:
                await line.send({"type": "websocket.send", "bytes": PIECE})
                self.sent += 1
        except OSError:
            self.ended.set()


@contextlib.asynccontextmanager
async def served(app: Talker) -> AsyncIterator[socket.socket]:
    """A client that has been let in and has read nothing so far."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_level="error", ws_max_size=10**7)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as door:
        serving = asyncio.create_task(server.serve([door]))
        while not server.started:
            await asyncio.sleep(0.01)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(door.getsockname())
        client.sendall(KNOCK)
        client.setblocking(False)
        try:
            yield client
        finally:
            client.close()
            server.should_exit = server.force_exit = True
            await serving


async def _who_reads_nothing_is_hung_up_on() -> None:
    app = Talker(stalled_s=0.2)
    async with served(app) as client:
        await asyncio.wait_for(app.ended.wait(), PATIENCE_S)
        loop, heard = asyncio.get_running_loop(), b"x"
        with contextlib.suppress(ConnectionResetError):
            while heard:  # what had been sent before, and then the end: not a close that waits behind megabytes
                heard = await asyncio.wait_for(loop.sock_recv(client, 1 << 16), PATIENCE_S)


def test_who_reads_nothing_is_hung_up_on() -> None:
    asyncio.run(_who_reads_nothing_is_hung_up_on())


class Slow:
    """The server's end of a socket whose other end takes a little now and then; as uvicorn's, it has a transport."""

    def __init__(self, left: list[int]) -> None:
        self.left, self.transport = left, self

    def get_write_buffer_size(self) -> int:
        return self.left.pop(0)

    def get_extra_info(self, _: str) -> None:
        return None

    async def send(self, _: Message) -> None:
        while self.left:
            await asyncio.sleep(0.001)

    def abort(self) -> None:
        self.left.append(-1)


def test_who_reads_slowly_is_waited_for() -> None:
    async def never() -> Message:
        raise AssertionError

    for left, hung_up in (([9, 8, 7, 6, 5], False), ([9, 8, 8, 7], True)):
        slow = Slow(left)
        line = LimitedSocket(never, slow.send, STREAMLITS, stalled_s=0.01)
        with pytest.raises(OSError, match="takes nothing") if hung_up else contextlib.nullcontext():
            asyncio.run(line.send({"type": "websocket.send", "bytes": PIECE}))
        assert (slow.left[-1:] == [-1]) == hung_up


# ---- how many


def caller(cookie: str = "", address: str = "192.168.1.5") -> Scope:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    return {"type": "websocket", "path": "/lab/ws", "client": (address, 1), "headers": headers}


def test_one_browser_and_one_address_have_so_many_sockets_and_others_theirs() -> None:
    callers, ann, bob = Callers(MostSockets(browser=2, address=3)), caller("a" * 22), caller("b" * 22)
    with contextlib.ExitStack() as held:
        held.enter_context(callers.one_more(ann))
        assert not callers.too_many(ann)
        held.enter_context(callers.one_more(ann))
        assert callers.too_many(ann)
        assert not callers.too_many(bob)
        held.enter_context(callers.one_more(bob))
        assert callers.too_many(bob)  # the address is full
        assert callers.too_many(caller())
        assert not callers.too_many(caller("b" * 22, "192.168.1.6"))
    for who in (ann, bob):
        assert not callers.too_many(who)


def test_a_refused_client_is_told_why() -> None:
    said: list[str | int] = []

    async def hold(scope: Scope, receive: Receive, send: Send) -> None:
        """While one socket is open, ask for another, and then why there is none."""
        headers = [("host", "localhost")]
        said.append(answered("websocket", headers, guard=guard)["type"])
        said.append(answered("http", headers, guard=guard, method="POST", path=DOOR)["status"])

    guard = Guard(hold, Hosts(), MostSockets(address=1))
    answered("websocket", [("host", "localhost")], guard=guard)
    assert said == ["websocket.close", 429]
    assert answered("http", [("host", "localhost")], guard=guard, method="POST", path=DOOR)["status"] == 204


# ---- by which address


@pytest.mark.parametrize(
    ("origin", "allowed", "same"),
    [
        ("https://lab.example", "https://lab.example/", True),
        ("https://lab.example", "https://lab.example:443", True),
        ("http://lab.example:80", " http://LAB.example", True),
        ("https://lab.example:8443", "https://lab.example", False),
        ("http://lab.example", "https://lab.example", False),
        ("null", "null", False),
        ("http://[", "http://[", False),
    ],
)
def test_an_allowed_origin_is_one_however_it_is_written(origin: str, allowed: str, same: bool) -> None:
    assert same_origin(origin, allowed) == same


def test_several_origins_may_be_allowed_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `streamlit run` reads it: one text, with its commas."""
    allowed = ("https://one.example/,https://two.example:443",)
    monkeypatch.setattr("lab.web.guard.st.get_option", lambda _: allowed)
    for origin, kind in (("https://two.example", "opened"), ("https://three.example", "websocket.close")):
        assert answered("websocket", [("host", "localhost"), ("origin", origin)])["type"] == kind


def asked_below(path: str, base: str = "/kitchen") -> Scope:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def said(message: object) -> None:
        seen.append({"said": message})

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}
    asyncio.run(BasePath(app, base)(scope, said, said))  # type: ignore[arg-type]  # nobody receives
    return seen[0]


def test_the_base_path_is_taken_off_where_it_is() -> None:
    for path, left in (("/kitchen/lab/ws", "/lab/ws"), ("/kitchen/", "/"), ("/lab/healthz", "/lab/healthz")):
        seen = asked_below(path)
        assert (seen["path"], seen["raw_path"]) == (left, left.encode())
    assert asked_below("/kitchenette/x")["path"] == "/kitchenette/x"
    assert asked_below("/kitchen/x", base="")["path"] == "/kitchen/x"
    redirect = asked_below("/a/kitchen", base="/a/kitchen")["said"]
    assert (redirect["status"], dict(redirect["headers"])[b"location"]) == (308, b"kitchen/")
