"""A lab started as users start it, and two ways to visit it: with Chromium, or over Streamlit's protocol."""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.context import ContextProxy
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from lab.ui.learner import COOKIE
from tests.patience import PATIENCE_S, comes

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("split-kitchen")
NAME = "lab.school"  # by which a class may know the lab
MODEL = os.environ.get("SPLIT_KITCHEN_TEST_MODEL", "tiny-llama")  # the real one is for measuring by hand
LONG = "kitchen=Two+stations+and+a+pass&orders=24&rate=0.25&answer=16"  # a run that takes LONG_S at least
LONG_S = 24 / 0.25
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


# ---- the lab


class Address:
    """A lab that runs somewhere, as a client sees it."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.url = f"http://{host}"

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body, whatever the status."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers.get_content_type(), answer.read()

    def health(self) -> tuple[int, dict[str, str]]:
        status, _, body = self.get("/lab/healthz")
        return status, json.loads(body)

    def engine(self) -> str:
        """The engine's state, or "" while nobody answers."""
        with suppress(OSError, ValueError):
            return self.health()[1]["engine"]
        return ""

    def watch(self, stream: str, *, since: int = 0, origin: str = "") -> ClientConnection:
        """A socket on a run, as the page opens it; `stream` comes from the scene's data."""
        return socket_to(self, stream + (f"&since={since}" if since else ""), origin=Origin(origin or self.url))


class Lab(Address):
    """A lab that was started here, with its processes."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        super().__init__(f"127.0.0.1:{port}")
        self.process = process
        self._log = log

    def children(self) -> dict[int, str]:
        """The command lines of all processes that the lab has started, directly or not, by pid."""
        return {pid: command(pid) for pid in descendants(self.process.pid)}

    def child(self, module: str) -> int:
        return next(pid for pid, line in self.children().items() if module in line)

    def said(self) -> str:
        return self._log.read_text(errors="replace")


def socket_to(lab: Address, path: str, **options: Any) -> ClientConnection:
    patience = {"open_timeout": PATIENCE_S, "ping_timeout": PATIENCE_S, "close_timeout": 1}
    options = {"origin": Origin(lab.url), "max_size": None, **patience, **options}
    line: ClientConnection = connect(f"ws://{lab.host}{path}", **options)
    return line


@contextmanager
def open_lab(
    *, ready: bool = True, env: Mapping[str, str] | None = None, root: Path = ROOT, port: int = 0
) -> Iterator[Lab]:
    """`split-kitchen lab` of the project at `root`, on `port` or a free one of this host, until the block is left.
    Guesses are kept only where `env` names a folder for them."""
    port = port or free_port()
    line = [str(COMMAND), "lab", "--no-open", "--port", str(port)]
    with tempfile.NamedTemporaryFile(suffix=".log") as log, tempfile.TemporaryDirectory() as data:
        environment = {**os.environ, "SPLIT_KITCHEN_MODEL": MODEL, "SPLIT_KITCHEN_DATA": data, **(env or {})}
        environment |= {"PYTHONPATH": str(root)}  # before the project that the command belongs to
        process = subprocess.Popen(line, cwd=root, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        lab = Lab(process, port, Path(log.name))
        try:
            wanted = ("ready",) if ready else ("starting", "ready")
            comes(lambda: lab.engine() in wanted or process.poll() is not None)
            assert lab.engine() in wanted, lab.said()
            yield lab
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            sys.stdout.write(lab.said())  # shown beside a test that failed


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def with_sample(root: Path) -> Path:
    """A copy of the project at `root`, with one more lesson, a made-up one."""
    for part in ("assets", "engine", "lab", "lessons"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "lab" / "sample" / "l99_a_sample", root / "lessons" / "l99_a_sample")
    return root


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One lab for all tests that leave it as they found it: with nothing running."""
    with open_lab(env={"SPLIT_KITCHEN_HOSTS": NAME}) as running:
        yield running


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):  # it has just ended
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def alive(pids: Iterator[int] | list[int] | dict[int, str]) -> list[int]:
    """The pids that still run; a zombie does not."""
    return [pid for pid in pids if command(pid)]


# ---- visiting without a browser


class Visitor:
    """Speaks Streamlit's protocol with the real page: reads what it shows and presses its buttons."""

    def __init__(self, lab: Address, query: str = "", page: str = "", cookie: str = "") -> None:
        self._query, self._page = query, page
        headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
        protocols = [Subprotocol("streamlit")]
        self._line = socket_to(lab, "/_stcore/stream", subprotocols=protocols, additional_headers=headers)
        self.elements: list[Element] = []
        self.timers: list[str] = []  # fragments that the browser has run every now and then
        self._stream, self._opened_s = "", -math.inf

    def __enter__(self) -> "Visitor":
        self._socket = self._line.__enter__()
        self.run()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, message: BackMsg) -> None:
        """Have the page run, or a fragment of it, and read it to its end."""
        part = message.rerun_script.fragment_id
        ends = [ForwardMsg.FINISHED_SUCCESSFULLY] + [ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY] * bool(part)
        message.rerun_script.query_string = self._query
        message.rerun_script.page_name = self._page
        self._socket.send(message.SerializeToString())
        while True:
            heard = ForwardMsg()
            heard.ParseFromString(self._socket.recv(timeout=PATIENCE_S))
            match heard.WhichOneof("type"):
                case "new_session" if not part:
                    self.elements, self.timers = [], []
                case "auto_rerun":
                    self.timers.append(heard.auto_rerun.fragment_id)
                case "delta":
                    self.elements.append(heard.delta.new_element)
                case "script_finished" if heard.script_finished in ends:
                    return

    def run(self) -> None:
        """Have the page run once more."""
        self.ask(BackMsg())

    def all(self, kind: str) -> list[Any]:
        return [getattr(element, kind) for element in self.elements if element.WhichOneof("type") == kind]

    def press(self, label: str) -> None:
        button = next(button for button in self.all("button") if button.label == label)
        self.set(button.id, trigger_value=True)

    def set(self, widget: str, **value: Any) -> None:
        self.say([WidgetState(id=widget, **value)])

    def say(self, widgets: Sequence[WidgetState], fragment: str = "") -> None:
        message = BackMsg()
        message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, bool(fragment)
        message.rerun_script.widget_states.widgets.extend(widgets)
        self.ask(message)

    @property
    def scene(self) -> dict[str, Any]:
        """What the browser module is given."""
        return self.component("kitchen")

    def component(self, name: str) -> dict[str, Any]:
        """What a component of ours was given; empty if it is not on the page."""
        assert self.all("exception") == []
        given = [json.loads(one.json) for one in self.all("bidi_component") if one.component_name.endswith(name)]
        return given[0] if given else {}

    def open(self, label: str = "Open the kitchen") -> str:
        """Start a run; the path under which it can be watched."""
        self.press(label)
        return str(self.scene["kitchens"][0]["stream"])

    def keep_open(self) -> str:
        """Start a run if the last one is past its middle."""
        if time.monotonic() - self._opened_s > LONG_S / 2:
            self.stop()
            self._stream, self._opened_s = self.open(), time.monotonic()
        return self._stream

    def stop(self) -> None:
        """Stop this visitor's run, if there is one, and wait until it has ended."""

        def stopped() -> bool:
            self.run()
            return any(button.label.startswith("Open the kitchen") for button in self.all("button"))

        if not stopped():
            self.press("Stop")
            assert comes(stopped)


@pytest.fixture(scope="module")
def visitor(lab: Lab) -> Iterator[Visitor]:
    """A visitor who keeps the engine running."""
    with Visitor(lab, LONG) as visitor:
        yield visitor
        visitor.stop()


@pytest.fixture
def stream(visitor: Visitor) -> str:
    """The path of a run that lasts longer than the test watches it."""
    return visitor.keep_open()


@pytest.fixture
def no_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Streamlit's test runner, whose cookies are mocks: the learner's name is then what the session says."""
    monkeypatch.setattr(ContextProxy, "cookies", {})


# ---- visiting with one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        started.on("context", lambda window: window.set_default_timeout(PATIENCE_S * 1000))
        yield started
        started.close()
