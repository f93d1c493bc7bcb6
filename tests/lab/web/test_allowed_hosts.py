"""Who the lab is, to a browser: names that no other site can have, and nobody else's."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.types import Message, Receive, Scope, Send

from engine.errors import BadInput
from lab.web.allowed_hosts import Hosts, same_place
from lab.web.guard import Guard
from lab.web.settings import Settings

OURS = ["localhost", "localhost:8501", "127.0.0.1:8501", "[::1]:8501", "192.168.1.5", "lab.example:80", "LAB.example."]
THEIRS = ["evil.example", "evil.example:8501", "lab.example.evil.example", "localhost.evil.example", "[", "", "a b"]


async def _well(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "opened"})


def answered(
    kind: str,
    headers: Iterable[tuple[str, str]],
    *,
    guard: Guard | None = None,
    method: str = "GET",
    path: str = "/lab/ws",
) -> Message:
    """What a guard, by default of a lab named lab.example, says first to this request."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        said.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "method": method, "path": path, "headers": pairs, "client": ("192.168.1.5", 1)}
    guard = guard or Guard(_well, Hosts(["lab.example"]))
    # in a thread: a test may ask while it answers
    with ThreadPoolExecutor(1) as asking:
        asking.submit(asyncio.run, guard(scope, receive, send)).result()
    return said[0] if said else {}


@pytest.mark.parametrize("host", OURS)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_lab_answers_to_its_names(kind: str, host: str) -> None:
    assert answered(kind, [("host", host)]) == {"type": "opened"}


@pytest.mark.parametrize("host", THEIRS)
def test_a_name_that_somebody_else_resolves_to_this_machine_opens_nothing(host: str) -> None:
    """Its page and its Origin agree, which is all that was looked at."""
    headers = [("host", host), ("origin", f"http://{host}")]
    assert answered("http", headers)["status"] == 421
    assert answered("websocket", headers)["type"] == "websocket.close"


@pytest.mark.parametrize("origin", ["http://[", "http://evil.example", "null", "", "http://localhost:x"])
def test_an_origin_of_any_kind_is_judged_without_an_error(origin: str) -> None:
    assert answered("websocket", [("host", "localhost:8501"), ("origin", origin)])["type"] == "websocket.close"


def test_a_proxy_that_passes_no_host_on_is_told_of_it_where_a_page_asks() -> None:
    assert answered("websocket", []) == {"type": "opened"}  # a program, which sends no Origin
    assert answered("websocket", [("origin", "https://lab.example")])["type"] == "websocket.close"


def test_a_port_that_goes_without_saying_may_be_said() -> None:
    assert same_place("http://lab.example", "lab.example:80")
    assert same_place("https://lab.example:443", "lab.example")
    assert not same_place("http://lab.example", "lab.example:8501")
    assert not same_place("https://lab.example", "lab.example:80")


def test_names_come_from_the_settings() -> None:
    said = {"SPLIT_KITCHEN_HOSTS": "one.example, two.example", "SPLIT_KITCHEN_URL": "https://three.example:444/lab"}
    assert Settings.of_environment(said).hosts == ("one.example", "two.example", "three.example")
    with pytest.raises(BadInput, match="SPLIT_KITCHEN_HOSTS"):
        Settings.of_environment({"SPLIT_KITCHEN_HOSTS": "http://one.example"})
