"""A hostile client on real sockets: each time refused, while those beside it go on. And what browsers are told."""

import json
import re
import socket
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from playwright.sync_api import Browser
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.typing import Origin, Subprotocol

from lab.kitchen.controls import MAX_ORDERS
from tests.lab.conftest import LONG, NAME, ROOT, Address, Lab, Visitor, socket_to
from tests.lab.web.test_server import LINK, assert_goes_on, closing_code, drawn
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.live

PAGES = ["kitchen", "scale", "advisor"]  # lessons and a whole run are visited, and their console read, elsewhere
STREAMLITS = "/_stcore/stream"
FOREIGN = ["http://evil.example", "http://localhost:1", "http://0.0.0.0:1", "null", "file://"]


def dial(lab: Address, path: str, **options: object) -> ClientConnection:
    protocols = [Subprotocol("streamlit")] if path == STREAMLITS else None
    return socket_to(lab, path, subprotocols=protocols, **options)


# ---- what no widget would say; first, while the engine is free


def forge(visitor: Visitor, label: str, value: float) -> None:
    slider = next(slider.id for slider in visitor.all("slider") if slider.label == label)
    visitor.set(slider, double_array_value={"data": [value]})


def test_a_choice_that_is_not_offered_is_an_error_without_details(lab: Lab) -> None:
    with Visitor(lab) as forger:
        forge(forger, "Prompt, tokens", 1e6)
        (error,) = forger.all("exception")
        assert "redacted" in error.message
        assert list(error.stack_trace) == []
        assert str(ROOT) not in error.message


@pytest.mark.parametrize("orders", [MAX_ORDERS, 1e6])
def test_nobody_gets_more_orders_than_there_may_be(lab: Lab, orders: float) -> None:
    with Visitor(
        lab, "kitchen=Two+stations+and+a+pass&rate=all+at+once&answer=8&prompt=16&long=as+the+others"
    ) as greedy:
        forge(greedy, "Orders", orders)
        with lab.watch(greedy.open()) as line:
            said = [json.loads(text) for text in line]
    assert said[-1] == {"over": True, "refused": ""}
    served = len({motion["request"] for motion in drawn(said) if motion["kind"] == "token"})
    assert served == MAX_ORDERS if orders == MAX_ORDERS else served <= MAX_ORDERS


# ---- who asks


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("ours", [True, False], ids=["our socket", "Streamlit's"])
def test_a_page_of_another_site_opens_no_socket(lab: Lab, stream: str, ours: bool, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, dial(lab, stream if ours else STREAMLITS, origin=Origin(origin)):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("ours", [True, False], ids=["our socket", "Streamlit's"])
def test_a_class_may_know_the_lab_by_a_name_that_is_set(lab: Lab, stream: str, ours: bool) -> None:
    """As http://lab.school:8501 in the network of a school, which names it in SPLIT_KITCHEN_HOSTS."""
    _, port = lab.host.split(":")
    road = socket.create_connection(("127.0.0.1", int(port)))
    named = Address(f"{NAME}:{port}")
    with dial(named, stream if ours else STREAMLITS, sock=road) as line:
        assert line.response is not None
        assert line.response.status_code == 101


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/lab/healthz", "/_stcore/upload_file/a/b"])
def test_a_page_of_another_site_changes_nothing(lab: Lab, method: str, path: str) -> None:
    asked = urllib.request.Request(lab.url + path, b"x", {"Origin": "http://evil.example"}, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=PATIENCE_S)
    assert refused.value.code == 403


# ---- whose run it is


def split(stream: str) -> tuple[str, str]:
    """A run's id and its key."""
    run, key = re.fullmatch(r"/lab/ws\?run=([\w-]+)&key=([\w-]+)", stream).groups()  # type: ignore[union-attr]
    return run, key


def test_a_forged_key_is_refused(lab: Lab, visitor: Visitor, stream: str) -> None:
    run, key = split(stream)
    for forged in ("", "x", "é", key[:-1], key + "x", key.swapcase(), run):
        with lab.watch(f"/lab/ws?run={run}&key={forged}") as forger:
            assert closing_code(forger) == 4403
    with lab.watch(stream) as owner:
        assert_goes_on(owner)


def test_one_s_own_key_opens_nobody_else_s_run(lab: Lab, stream: str) -> None:
    run, _ = split(stream)
    with Visitor(lab, LONG) as other:
        _, key = split(other.open())
        with lab.watch(f"/lab/ws?run={run}&key={key}") as thief:
            assert closing_code(thief) == 4403
        other.press("Stop")


@pytest.mark.parametrize(
    "ask", [LINK % (1, 0), '{"do": "kill", "worker": "worker-1"}', '{"do": "cancel", "request": "r1"}']
)
def test_who_only_watches_changes_nothing(lab: Lab, stream: str, ask: str) -> None:
    before = lab.children()
    with lab.watch(f"/lab/ws?run={split(stream)[0]}") as watcher:
        assert "motions" in watcher.recv(timeout=PATIENCE_S)
        watcher.send(ask)
        assert closing_code(watcher) == 4403
    with lab.watch(stream) as owner:
        assert_goes_on(owner)
    assert lab.children() == before


# ---- how much, how fast


@pytest.mark.parametrize("ours", [True, False], ids=["our socket", "Streamlit's"])
@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "text"])
def test_ten_megabytes_are_refused(lab: Lab, visitor: Visitor, stream: str, ours: bool, binary: bool) -> None:
    huge = b"x" * 10_000_000
    with dial(lab, stream if ours else STREAMLITS) as offender:
        with suppress(ConnectionClosed):
            offender.send(huge if binary else huge.decode())
        assert closing_code(offender) in (1009, 1006)  # reset while it still sends, it may not get to read why
    with lab.watch(stream) as owner:
        assert_goes_on(owner)
    visitor.run()


def test_what_no_page_would_send_is_refused(lab: Lab, visitor: Visitor) -> None:
    with dial(lab, STREAMLITS) as offender:
        offender.send(b"x" * 1_000_001)
        assert closing_code(offender) == 1009
    visitor.run()


def test_a_thousand_reruns_a_second_are_refused(lab: Lab, visitor: Visitor, stream: str) -> None:
    message = BackMsg()
    message.rerun_script.query_string = ""
    with dial(lab, STREAMLITS) as offender:
        with suppress(ConnectionClosed):
            for _ in range(1000):
                offender.send(message.SerializeToString())
        assert closing_code(offender) == 1008
    visitor.run()
    with lab.watch(stream) as owner:
        assert_goes_on(owner)


# ---- what browsers are told


@pytest.mark.parametrize("path", ["/", "/lab/healthz", "/_stcore/host-config", "/lessons", "/not/there"])
def test_every_answer_has_the_headers(lab: Lab, path: str) -> None:
    with urllib.request.urlopen(lab.url + path, timeout=PATIENCE_S) as answer:
        told = answer.headers
    policy = dict(part.strip().split(" ", 1) for part in told["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'self'"
    assert policy["object-src"] == "'none'"
    assert "unsafe-inline" not in policy["script-src"]
    assert "unsafe-eval" not in policy["script-src"]
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "same-origin"


def test_nothing_is_told_to_streamlit_s_makers(lab: Lab) -> None:
    with dial(lab, STREAMLITS) as line:
        line.send(BackMsg(rerun_script=ClientState(query_string="")).SerializeToString())
        heard = ForwardMsg()
        while heard.WhichOneof("type") != "new_session":
            heard.ParseFromString(line.recv(timeout=PATIENCE_S))
    assert not heard.new_session.config.gather_usage_stats


@pytest.mark.browser
def test_no_page_needs_what_the_policy_forbids(lab: Lab, browser: Browser) -> None:
    """Each page in a browser: nothing is blocked, no script fails, and nobody else's host is asked."""
    complaints: list[str] = []
    asked: set[str] = set()
    page = browser.new_page()
    page.on("console", lambda said: complaints.append(said.text) if "Security" in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    for path in PAGES:
        page.goto(f"{lab.url}/{path}")
        page.wait_for_selector("[data-testid=stAppViewContainer] h1, .kx-root")
        page.wait_for_timeout(300)
    page.close()
    assert complaints == []
    assert {url for url in asked if not url.startswith((lab.url, "blob:", "data:"))} == set()
