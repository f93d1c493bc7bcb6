"""The lab's own routes and the life of its processes, seen from outside: real sockets, real signals, no browser."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.lab.conftest import ROOT, Lab, Visitor, alive, open_lab
from tests.patience import PATIENCE_S, comes

pytestmark = pytest.mark.live

# trays are on the pass for seconds
BUSY = "kitchen=Two+stations+and+a+pass&orders=24&rate=all+at+once&answer=128&prompt=512&link=500+kB%2Fs"
LINK = '{"do": "link", "bandwidth_bytes_per_s": %s, "latency_s": %s}'
END_S = 5.0  # from SIGTERM until nothing of the lab is left: promised, so it is measured

Message = dict[str, Any]


def hear(socket: ClientConnection, enough: Callable[[list[Message]], object]) -> list[Message]:
    """Messages until they are enough."""
    heard: list[Message] = []
    while not enough(heard):
        heard.append(json.loads(socket.recv(timeout=PATIENCE_S)))
        assert "over" not in heard[-1], heard[-1]
    return heard


def drawn(messages: list[Message]) -> list[Message]:
    return [motion for message in messages for motion in message.get("motions", [])]


def has(**fields: object) -> Callable[[list[Message]], bool]:
    """Messages with a motion that says so."""
    return lambda messages: any(fields.items() <= motion.items() for motion in map(hashed, drawn(messages)))


def hashed(motion: Message) -> Message:
    return {key: value for key, value in motion.items() if not isinstance(value, list)}


def closing_code(socket: ClientConnection) -> int | None:
    """With which code the lab hangs up on us."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=PATIENCE_S)
    return socket.close_code


numbers = itertools.count(1)


def mark(watcher: ClientConnection) -> float:
    """A change of the link that nobody has made before."""
    bandwidth = 5e6 + next(numbers)
    watcher.send(LINK % (bandwidth, 0.001))
    return bandwidth


def assert_goes_on(watcher: ClientConnection) -> None:
    """Its run is there, hears it and is heard."""
    hear(watcher, has(kind="link", bandwidth=mark(watcher)))


# ---- health


def test_health_is_json_and_says_what_the_engine_does(lab: Lab) -> None:
    status, kind, body = lab.get("/lab/healthz")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {"status": "ok", "engine": "ready", "why": ""}


@pytest.mark.parametrize("path", ["/healthz", "/lab/health", "/lab/healthz2", "/lab/ws"])
def test_no_other_path_passes_for_health(lab: Lab, path: str) -> None:
    """Streamlit answers 200 with its page to whatever it does not know."""
    _, kind, body = lab.get(path)
    assert kind != "application/json"
    assert b'"engine"' not in body


# ---- who may watch


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", "file://"])
def test_a_foreign_page_is_refused(lab: Lab, stream: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, lab.watch(stream, origin=origin):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("query", ["?run=nobody", "?run=", "?run=..%2F..", "?other=1", ""])
def test_only_who_knows_a_run_can_watch_it(lab: Lab, stream: str, query: str) -> None:
    with lab.watch(f"/lab/ws{query}") as socket:
        assert closing_code(socket) == 4404


@pytest.mark.parametrize("query", ["?id=nobody", "?id=", ""])
def test_only_who_knows_a_gathering_can_follow_it(lab: Lab, query: str) -> None:
    with lab.watch(f"/lab/gathering{query}") as socket:
        assert closing_code(socket) == 4404


@pytest.mark.parametrize("query", ["?id=nobody", "?id=", ""])
def test_whoever_comes_when_the_runs_are_over_hears_only_that(lab: Lab, query: str) -> None:
    """A class's page may be told of runs that have ended by the time it asks for them; it need not ask again."""
    with lab.watch(f"/lab/gathering/runs{query}") as socket:
        assert [json.loads(message) for message in socket] == [{"over": True}]


def test_two_watchers_see_the_same(lab: Lab, stream: str) -> None:
    with lab.watch(stream) as one:
        hear(one, lambda messages: messages)
    with lab.watch(stream) as one, lab.watch(stream) as two:
        enough = has(kind="link", bandwidth=mark(one))
        first, second = (drawn(hear(socket, enough)) for socket in (one, two))
    both = min(len(first), len(second))  # the last message may bring one of them more than the other has yet
    assert first[:both] == second[:both]
    assert first[0]["kind"] == "deployed"


def test_a_watcher_that_comes_back_misses_nothing_and_hears_nothing_twice(lab: Lab, stream: str) -> None:
    with lab.watch(stream) as socket:
        parts = [hear(socket, has(kind="link", bandwidth=mark(socket)))]
        for _ in range(3):
            with lab.watch(stream, since=parts[-1][-1]["seq"]) as again:
                mark(socket)
                parts.append(hear(again, has(kind="link", bandwidth=mark(again))))
    with lab.watch(stream) as fresh:
        whole = hear(fresh, lambda messages: messages and messages[-1]["seq"] >= parts[-1][-1]["seq"])
    pieced = drawn([message for part in parts for message in part])
    assert pieced == drawn(whole)[: len(pieced)]
    assert parts[-1][-1]["seq"] == len(pieced)


@pytest.mark.parametrize("since", ["-1", "some", "²", "1.5", "9" * 30, "9" * 5000])
def test_a_place_that_makes_no_sense_is_no_harm(lab: Lab, stream: str, since: str) -> None:
    with lab.watch(f"{stream}&since={since}") as socket:
        assert_goes_on(socket)


# ---- what a watcher may say

NONSENSE = {
    "not JSON": "close the kitchen",
    "not an object": "[1]",
    "empty": "",
    "unknown command": '{"do": "deploy"}',
    "half a link": '{"do": "link", "bandwidth_bytes_per_s": 1e6}',
    "no number": LINK % ('"wide"', 0),
    "a list": LINK % ("[1e6]", 0),
    "not a number": LINK % ("NaN", 0),
    "infinite": LINK % ("Infinity", 0),
    "negative": LINK % (-1e6, 0),
    "nothing at all": LINK % (0, 0),
    "a number beyond floats": LINK % ("1" + "0" * 400, 0),
    "no time": LINK % (1e6, "NaN"),
    "for ever": LINK % (1e6, 3600),
    "a number for a name": '{"do": "cancel", "request": 1}',
    "deep": "[" * 500,
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_ends_its_socket_and_no_other(lab: Lab, stream: str, text: str) -> None:
    with lab.watch(stream) as other, lab.watch(stream) as offender:
        offender.send(text)
        assert closing_code(offender) == 1008
        assert_goes_on(other)


def test_a_long_message_ends_its_socket(lab: Lab, stream: str) -> None:
    fits = (LINK % (3e6, 0)).ljust(512)
    with lab.watch(stream) as other, lab.watch(stream) as offender:
        offender.send(fits)
        hear(offender, has(kind="link", bandwidth=3e6))
        offender.send(fits + " ")
        assert closing_code(offender) == 1009
        assert_goes_on(other)


def test_bytes_end_their_socket(lab: Lab, stream: str) -> None:
    with lab.watch(stream) as other, lab.watch(stream) as offender:
        offender.send(b'{"do": "cancel", "request": "r1"}')
        assert closing_code(offender)
        assert_goes_on(other)


def test_a_flood_ends_its_socket(lab: Lab, stream: str) -> None:
    with lab.watch(stream) as other, lab.watch(stream) as offender:
        with suppress(ConnectionClosed):
            for _ in range(5000):
                offender.send('{"do": "cancel", "request": "nobody"}')
        assert closing_code(offender) == 1008
        assert_goes_on(other)


def test_a_hand_on_the_slider_is_no_flood(lab: Lab, stream: str) -> None:
    """The page sends up to ten changes a second for as long as somebody drags."""
    with lab.watch(stream) as socket:
        for _ in range(30):
            bandwidth = mark(socket)
            time.sleep(0.1)
        hear(socket, has(kind="link", bandwidth=bandwidth))


@pytest.mark.parametrize("ask", ['{"do": "kill", "worker": "nobody"}', '{"do": "cancel", "request": "nobody"}'])
def test_asking_for_what_is_not_there_ends_no_run(lab: Lab, stream: str, ask: str) -> None:
    with lab.watch(stream) as other, lab.watch(stream) as confused:
        confused.send(ask)
        for _ in range(3):
            assert_goes_on(other)


def test_an_order_can_be_cancelled(lab: Lab, stream: str) -> None:
    """One whose tray is on a link that has nearly come to rest, so that it can't end by itself."""
    with lab.watch(stream) as socket:
        socket.send(LINK % (1, 0))
        hear(socket, has(kind="link", bandwidth=1))
        fresh = hear(socket, lambda messages: any("number" in motion for motion in drawn(messages)))
        request = next(motion["request"] for motion in drawn(fresh) if "number" in motion)
        socket.send(json.dumps({"do": "cancel", "request": request}))
        hear(socket, has(kind="order", id=f"order {request}", reason="cancelled"))
        assert_goes_on(socket)


def test_a_killed_worker_is_replaced(lab: Lab, stream: str) -> None:
    before = lab.children()
    with lab.watch(stream) as socket:
        hear(socket, has(kind="worker", worker="worker-1", t1=None))
        socket.send('{"do": "kill", "worker": "worker-1"}')
        down = drawn(hear(socket, lambda messages: any("why" in motion for motion in drawn(messages))))
        if not has(kind="worker", worker="worker-1", t1=None)([{"motions": down}]):
            hear(socket, has(kind="worker", worker="worker-1", t1=None))
        assert_goes_on(socket)
    after = lab.children()
    assert len(after) == len(before)
    assert after.keys() != before.keys()
    assert lab.engine() == "ready"


# ---- processes


def test_the_web_server_never_loads_the_model_s_libraries() -> None:
    """They cost it a second at the start, 200 MB, and a long pause at every rerun."""
    code = """
import importlib, pkgutil, sys
import lab
names = [module.name for module in pkgutil.walk_packages(lab.__path__, "lab.")]
assert "lab.kitchen.kitchen_page" in names, names
for name in names:
    if name != "lab.web.navigation":  # a page, not a module: Streamlit runs it
        importlib.import_module(name)
print(",".join(sorted({"torch", "transformers", "accelerate"} & set(sys.modules))))
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def test_a_lab_in_use_has_not_loaded_them_either(lab: Lab, stream: str) -> None:
    def loaded(pid: int) -> bool:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()

    assert loaded(lab.child("engine.live.process.worker_process"))  # so that this test can fail
    assert not loaded(lab.process.pid)


def test_sigterm_ends_everything_whatever_goes_on() -> None:
    with open_lab() as lab, Visitor(lab, BUSY) as visitor, ExitStack() as sockets:
        stream = visitor.open()
        watchers = [sockets.enter_context(lab.watch(stream)) for _ in range(3)]
        hear(watchers[0], has(kind="tray"))
        children = lab.children()
        assert len(children) >= 3
        began = time.monotonic()
        lab.process.send_signal(signal.SIGTERM)
        lab.process.wait(PATIENCE_S)
        assert time.monotonic() - began < END_S
        assert alive(children) == []
        for watcher in watchers:
            assert closing_code(watcher)
        assert "Traceback" not in lab.said()


def test_sigterm_ends_a_lab_whose_engine_is_still_starting() -> None:
    with open_lab(ready=False) as lab:
        assert comes(lambda: any("engine.live.process.worker_process" in line for line in lab.children().values()))
        children = lab.children()
        began = time.monotonic()
        lab.process.send_signal(signal.SIGTERM)
        lab.process.wait(PATIENCE_S)
        assert comes(lambda: alive(children) == [])  # killed, they take a moment to give their memory back
        assert time.monotonic() - began < END_S


def test_a_lab_that_is_killed_leaves_no_process_behind() -> None:
    with open_lab() as lab, Visitor(lab, BUSY) as visitor:
        with lab.watch(visitor.open()) as watcher:
            hear(watcher, has(kind="tray"))
            children = lab.children()
            os.kill(lab.process.pid, signal.SIGKILL)
            lab.process.wait()
        assert comes(lambda: alive(children) == []), children


def test_an_engine_that_dies_is_started_again_and_given_up_the_third_time() -> None:
    with open_lab() as lab, Visitor(lab, BUSY) as visitor:
        with lab.watch(visitor.open()) as watcher:
            hear(watcher, has(kind="tray"))
            workers = lab.children()
            stopped = next(pid for pid, line in workers.items() if "worker_process" in line)
            os.kill(stopped, signal.SIGSTOP)  # it can't notice that its host is gone
            os.kill(lab.child("engine.live.process.host"), signal.SIGKILL)
            said = [json.loads(message) for message in watcher]
        assert said[-1]["over"]
        assert said[-1]["refused"].endswith("It starts again: ask once more.")
        assert comes(lambda: lab.engine() == "ready")
        assert lab.health()[0] == 200
        assert alive(workers) == []
        visitor.run()
        with lab.watch(visitor.open()) as watcher:
            hear(watcher, has(kind="tray"))

        for _ in range(2):
            assert comes(lambda: any("process.host" in line for line in lab.children().values()))
            os.kill(host := lab.child("engine.live.process.host"), signal.SIGKILL)
            assert comes(lambda: host not in lab.children())
        assert comes(lambda: lab.engine() == "broken")
        status, health = lab.health()
        assert status == 503
        assert health["status"] == "broken"
        assert "3 times within 10 minutes" in health["why"]
        with Visitor(lab) as late:
            assert any(health["why"] in text.body for text in late.all("markdown"))
            assert [
                button.disabled for button in late.all("button") if button.label.startswith("Open the kitchen")
            ] == [True]
        visitor.run()
        assert any("in the middle of this" in alert.body for alert in visitor.all("alert"))
        assert any(health["why"] in text.body for text in visitor.all("markdown"))
