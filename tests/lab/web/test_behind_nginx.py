"""The lab where people put it: below a path, behind TLS, behind a proxy that takes the path off, or is set up wrong."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lab.conftest import Address, Lab, open_lab
from tests.lab.web.nginx import nginx
from tests.patience import comes

KEY = "the instructor's own key"

pytestmark = [pytest.mark.browser, pytest.mark.live]

STRIPS = """
    location /hub/user/ann/proxy/8501/ {{ proxy_pass http://{host}/; proxy_set_header Host $http_host; {{pass_on}} }}
"""
KEEPS = """
    location /kitchen {{ proxy_pass http://{host}; proxy_set_header Host $http_host; {{pass_on}} }}
"""
WHOLE_SITE = """
    location / {{ proxy_pass http://{host}; proxy_set_header Host $http_host; {{pass_on}} }}
"""
PORT_LOST = """
    location / {{ proxy_pass http://{host}; proxy_set_header Host $host; {{pass_on}} }}
"""
NO_SOCKETS = """
    location / {{ proxy_pass http://{host}; proxy_set_header Host $http_host; }}
"""


@pytest.fixture(scope="module")
def below() -> Iterator[Lab]:
    """One that is told of a path, and answers without it too."""
    env = {"STREAMLIT_SERVER_BASE_URL_PATH": "kitchen", "SPLIT_KITCHEN_INSTRUCTOR_KEY": KEY}
    with open_lab(ready=False, env=env) as running:
        yield running


@contextmanager
def visited(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what it has asked for and not been given."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900})
    page, missing = context.new_page(), []
    page.on("response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None)
    try:
        yield page, missing
    finally:
        context.close()


def works(page: Page, address: str) -> None:
    """A live kitchen, a lesson by a link, and a class: the desk, the wall and a learner."""
    page.goto(address)
    page.get_by_role("button", name="Open the kitchen").click()
    live = page.get_by_text("live", exact=True).or_(page.get_by_text("the run is over"))
    expect(live.first).to_be_visible()  # the socket of the run is open, whether or not the engine is ready
    page.goto(f"{address}lessons")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name=re.compile("Lock"))).to_be_visible()
    assert page.url.startswith(address)
    page.goto(f"{address}instructor")
    page.get_by_label("Instructor's key").fill(KEY)
    page.get_by_role("button", name="Enter", exact=True).click()
    opened: list[str] = []  # class sockets on which the page has said where it is: it does so once they are open
    page.on("websocket", lambda line: line.on("framesent", lambda _: opened.append(line.url)))
    page.get_by_role("button", name="Open a class", exact=True).click()
    expect(page.get_by_text(re.compile(f"Join at {re.escape(address)}join"))).to_be_visible()
    follows = f"{address.replace('http', 'ws', 1)}lab/class?"

    def followed() -> bool:
        page.wait_for_timeout(20)  # Playwright hears of sockets while it waits
        return any(url.startswith(follows) for url in opened)

    assert comes(followed), opened
    way_in = page.get_by_text(re.compile("Join at .* with"))
    code = way_in.inner_text().split()[-1]
    page.goto(f"{address}projector?room={code}")
    picture = page.get_by_role("img", name="QR code of the way in")
    expect(page.get_by_text(f"{address.partition('//')[2]}join", exact=True)).to_be_visible()
    assert picture.evaluate("async image => (await image.decode(), image.naturalWidth > 20)")
    page.goto(f"{address}join?room={code}")
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page.get_by_role("status")).to_have_text(re.compile("^[0-9]+ here$"))  # over its own socket


def test_below_a_path_that_a_proxy_takes_off(below: Lab, browser: Browser, tmp_path: Path) -> None:
    """As JupyterHub does; with TLS, as it has."""
    with nginx(tmp_path, STRIPS.format(host=below.host), tls=True) as proxy, visited(browser) as (page, missing):
        works(page, f"{proxy.url}/hub/user/ann/proxy/8501/")
    assert missing == []


def test_below_a_path_that_the_lab_is_told(below: Lab, browser: Browser, tmp_path: Path) -> None:
    assert f"{below.url}/kitchen/" in below.said()
    for path in ("/kitchen/lab/healthz", "/lab/healthz"):
        assert json.loads(below.get(path)[2])["status"] == "ok"
    with nginx(tmp_path, KEEPS.format(host=below.host)) as proxy, visited(browser) as (page, missing):
        works(page, f"{proxy.url}/kitchen/")
        page.goto(f"{proxy.url}/kitchen")
        expect(page.get_by_role("button", name="Open the kitchen")).to_be_visible()
    assert missing == []


def test_with_tls_at_the_root(below: Lab, browser: Browser, tmp_path: Path) -> None:
    with nginx(tmp_path, WHOLE_SITE.format(host=below.host), tls=True) as proxy, visited(browser) as (page, missing):
        works(page, f"{proxy.url}/")
    assert missing == []


def refused(browser: Browser, proxy: Address) -> str:
    with visited(browser) as (page, _):
        page.goto(f"{proxy.url}/lessons")
        notice = page.get_by_role("alert").filter(has_text="lab")
        expect(notice.first).to_be_visible()
        return notice.first.inner_text()


def test_a_refused_origin_says_so_to_the_visitor_and_once_in_the_log(
    below: Lab, browser: Browser, tmp_path: Path
) -> None:
    with nginx(tmp_path, PORT_LOST.format(host=below.host)) as proxy:
        said = refused(browser, proxy)
        assert refused(browser, proxy) == said
    assert f"'{proxy.url}'" in said
    assert "asked as '127.0.0.1'" in said
    assert "proxy_set_header Host $http_host" in said
    assert below.said().count(f"Refused: {said}") == 1


def test_a_blocked_socket_says_so(below: Lab, browser: Browser, tmp_path: Path) -> None:
    with nginx(tmp_path, NO_SOCKETS.format(host=below.host)) as proxy:
        assert "WebSocket" in refused(browser, proxy)
