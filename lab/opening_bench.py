"""How long from opening the lab until a kitchen moves in it, for its first visitor and for those after him."""

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

ROOT = Path(__file__).parent.parent
UP_S = 120.0
MOVES = ".sk-work[data-mode=prefill], .sk-work[data-mode=decode]"


class Fresh(NamedTuple):
    url: str
    pid: int


@contextmanager
def fresh_lab(model: str, **environment: str) -> Iterator[Fresh]:
    """One whose engine is ready; nobody has visited it yet. What visitors guess is not kept."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    options = {"server.port": port, "server.address": "127.0.0.1", "server.headless": "true"}
    line = [sys.executable, "-m", "streamlit", "run", "lab/app.py", *(f"--{key}={o}" for key, o in options.items())]
    quiet = subprocess.DEVNULL
    with tempfile.TemporaryDirectory() as data:
        said = os.environ | {"SPLIT_KITCHEN_MODEL": model, "SPLIT_KITCHEN_DATA": data} | environment
        process = subprocess.Popen(line, cwd=ROOT, env=said, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            give_up_s = time.monotonic() + UP_S
            while not _ready(url):
                if process.poll() is not None or time.monotonic() > give_up_s:
                    raise WorkerFailed("the lab did not come up; `split-kitchen lab` says why.")
                time.sleep(0.1)
            yield Fresh(url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/lab/healthz", timeout=5) as answer:
        return b'"ready"' in answer.read()
    return False


class Visit(NamedTuple):
    """Seconds from asking for the page until a recorded run moves in it, and until all of it is there."""

    moves_s: float
    whole_s: float


def visit(browser: Any, url: str) -> Visit:
    """The browser has nothing of the page yet."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        begun_s = time.monotonic()
        page.goto(url, wait_until="commit")
        page.locator(MOVES).first.wait_for()
        moves_s = time.monotonic() - begun_s
        page.locator("#opening").wait_for(state="detached")
        page.get_by_role("button", name="Open the kitchen").wait_for()
        return Visit(moves_s, time.monotonic() - begun_s)
    finally:
        context.close()
