"""How the lab starts, as `make lab` starts it: at a terminal with a browser to open, on a machine new to it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lab.ui.streamlit_options import OPTIONS, flags
from lab.web.cli import address
from tests.lab.conftest import COMMAND, MODEL, Address, free_port
from tests.patience import comes
from tests.terminal import Terminal

MAKE_LAB = [str(COMMAND), "lab", "--port"]
ADVERTISED = re.compile(r"streamlit|skills|e-?mail|usage statistics|agents", re.IGNORECASE)
# of Streamlit 1.67, whose own mark of a page that is drawn to its end shows that these are its names
DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"]'
STREAMLITS = ["stToast", "stToastContainer", "stMainMenu", "stAppDeployButton", "stSkillsNudge", "stSkillsNudgeAnchor"]
BADGES = 'a[href*="streamlit.io"], [class*="viewerBadge"]'


@contextmanager
def at_a_terminal(command: list[str], home: Path) -> Iterator[tuple[Address, Terminal]]:
    """The lab that `command` starts, with `home` as the home of who starts it."""
    port = free_port()
    lab = Address(f"127.0.0.1:{port}")
    environment = os.environ | {
        "HOME": str(home),
        "BROWSER": "true",  # what opens the page, and does nothing
        "SPLIT_KITCHEN_MODEL": MODEL,
        "SPLIT_KITCHEN_CACHE": os.environ.get("SPLIT_KITCHEN_CACHE", str(Path("~/.cache/split-kitchen").expanduser())),
    }
    with Terminal([*command, str(port)], home, environment) as terminal:
        assert comes(lambda: lab.engine() == "ready" or terminal.process.poll() is not None)
        assert terminal.process.poll() is None, terminal.said()
        yield lab, terminal


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty one, but for the folders of programs that Streamlit looks for before it advertises."""
    for name in (".claude", ".codex", ".cursor"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.live
@pytest.mark.browser
def test_nothing_of_streamlit_s_own_is_on_the_page_or_in_the_terminal(browser: Browser, home: Path) -> None:
    with at_a_terminal(MAKE_LAB, home) as (lab, terminal):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(lab.url)
        expect(page.get_by_role("button", name="Open the kitchen")).to_be_visible()
        expect(page.locator(DRAWN)).to_be_visible()
        assert [name for name in STREAMLITS if page.get_by_test_id(name).count()] == []
        assert page.locator(BADGES).count() == 0
        assert not re.search("Help agents|Deploy|Made with", page.locator("body").inner_text())
        context.close()
        text = terminal.said()
    assert lab.url in text
    assert not ADVERTISED.search(text), text


# What Streamlit makes of a command line, in a process of its own.
TAKEN = """
import json, sys
from streamlit import config
from streamlit.web import bootstrap, cli
names, command = json.loads(sys.argv[1]), sys.argv[2:]
given = cli.main_run.make_context("run", command).params
bootstrap.load_config_options({name: value for name, value in given.items() if name not in ("target", "args")})
print(json.dumps({name: config.get_option(name) for name in names}))
"""


def test_streamlit_takes_every_option_as_it_stands_in_the_table() -> None:
    line = [sys.executable, "-c", TAKEN, json.dumps([*OPTIONS, "server.port"]), *flags(port=8123), "app.py"]
    ran = subprocess.run(line, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == OPTIONS | {"server.port": 8123}


@pytest.mark.parametrize(
    ("host", "said"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://localhost:1"), ("::1", "http://[::1]:1")],
)
def test_the_address_that_is_said_opens_the_lab(host: str, said: str) -> None:
    assert address(host, 1) == said
    assert address(host, 1, "/kitchen/") == address(host, 1, "kitchen") == f"{said}/kitchen/"
