"""The time from opening the lab until a kitchen moves in it, for its first visitor and for later ones."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import WorkerFailed
from lab.ui.streamlit_options import flags

UP_S = 120.0
OPENS = "Open the kitchen"
MOVES = ".sk-work[data-mode=prefill], .sk-work[data-mode=decode]"
BUTTON = f"[...document.querySelectorAll('button')].some((button) => button.textContent.includes({OPENS!r}))"


class Fresh(NamedTuple):
    """A lab that was just started: its address, and the pid of its server."""

    url: str
    pid: int


@contextmanager
def fresh_lab(model: str, **environment: str) -> Iterator[Fresh]:
    """A lab whose engine is ready and that nobody has visited yet. Guesses are not kept."""
    with tempfile.TemporaryDirectory() as data:
        said = {"SPLIT_KITCHEN_MODEL": model, "SPLIT_KITCHEN_DATA": data} | environment
        command = [str(Path(sys.executable).with_name("split-kitchen")), "lab", "--no-open"]
        with _served(command, "/lab/healthz", b'"ready"', said) as lab:
            yield lab


@contextmanager
def bare_streamlit() -> Iterator[Fresh]:
    """An app with one button, which shows what any page of Streamlit's costs."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "one_button.py")
        script.write_text(f"import streamlit as st\n\nst.button({OPENS!r})\n", encoding="utf-8")
        command = [sys.executable, "-P", "-m", "streamlit", "run", str(script), *flags(headless=True)]
        with _served(command, "/_stcore/health", b"ok", {}) as app:
            yield app


@contextmanager
def _served(command: list[str], health: str, well: bytes, environment: dict[str, str]) -> Iterator[Fresh]:
    """What the command starts on a free port, once its health says it is well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = os.environ | environment | {"STREAMLIT_SERVER_PORT": str(port), "STREAMLIT_SERVER_ADDRESS": "127.0.0.1"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=variables, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        give_up_s = time.monotonic() + UP_S
        while well not in _answer(url + health):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise WorkerFailed(f"This did not come up and says why when you start it: {' '.join(command)}")
            time.sleep(0.1)
        yield Fresh(url, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answer(url: str) -> bytes:
    """Its current answer; empty without one."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        said: bytes = answer.read()
        return said
    return b""


class Visit(NamedTuple):
    """Seconds from requesting the page until a recorded run moves in it, and until the page is complete."""

    moves_s: float
    whole_s: float


def visit(browser: Any, url: str) -> Visit:
    """Visit with an empty browser cache."""
    with _cold(browser, url) as page:
        moves_s = _since_asked_s(page, f"document.querySelector({MOVES!r})")
        return Visit(moves_s, _since_asked_s(page, f"!document.querySelector('#opening') && {BUTTON}"))


def visit_bare(browser: Any, url: str) -> float:
    """Seconds until the button is there."""
    with _cold(browser, url) as page:
        return _since_asked_s(page, BUTTON)


def _since_asked_s(page: Any, until: str) -> float:
    """Seconds on the page's own clock, checked in each frame: Playwright itself soon checks only twice a second."""
    seconds: float = page.wait_for_function(f"() => ({until}) && performance.now() / 1000").json_value()
    return seconds


@contextmanager
def _cold(browser: Any, url: str) -> Iterator[Any]:
    """The page in a browser with an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        yield page
    finally:
        context.close()
