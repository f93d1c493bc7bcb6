"""The lab where people put it: below a path, behind TLS, behind a proxy that takes the path off, or is set up wrong."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lab.classroom.test_class import choose, press, vote
from tests.lab.conftest import Address, Lab, free_port, open_lab, with_sample
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


OTHER_NAME = """
    location / {{ proxy_pass http://{host}; proxy_set_header Host kitchen.example; {{pass_on}} }}
"""
FEW = "kitchen=Two+stations+and+a+pass&rate=all+at+once&answer=8&prompt=16&long=as+the+others"
CODES: set[str] = set()  # of classes in the lab that the tests share


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One that is told of a path, and answers without it too; with a lesson of short runs."""
    root = with_sample(tmp_path_factory.mktemp("below") / "project")
    env = {"STREAMLIT_SERVER_BASE_URL_PATH": "kitchen", "SPLIT_KITCHEN_INSTRUCTOR_KEY": KEY}
    with open_lab(root=root, env=env) as running:
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
    """A kitchen live, a lesson from the guess to the answer, a class from its opening to a vote."""
    heard: list[str] = []  # sockets that brought something
    page.on("websocket", lambda line: line.on("framereceived", lambda _: heard.append(line.url)))
    sockets = address.replace("http", "ws", 1)

    def brought(path: str) -> bool:
        page.wait_for_timeout(20)  # Playwright hears of sockets while it waits
        return any(url.startswith(f"{sockets}{path}") for url in heard)

    a_kitchen_live(page, address)
    assert comes(lambda: brought("lab/ws?run=")), heard
    a_lesson(page, address)
    a_class(page, address)
    assert comes(lambda: brought("lab/class?")), heard


def a_kitchen_live(page: Page, address: str) -> None:
    page.goto(f"{address}?{FEW}")
    page.get_by_role("button", name="Open the kitchen").click()
    expect(page.get_by_role("heading", name="What was measured")).to_be_visible()


def a_lesson(page: Page, address: str) -> None:
    page.goto(f"{address}lessons")
    page.get_by_role("link", name=re.compile("^99")).click()
    exactly = page.get_by_label("or exactly, ms")
    exactly.fill("120")
    exactly.press("Tab")
    page.get_by_text("guessing", exact=True).click()
    press(page, "Lock my guess and run")
    expect(page.get_by_role("heading", name=re.compile("Right|Close|Off"))).to_be_visible()
    assert page.url.startswith(address)


def asked(page: Page, wall: Page) -> bool:
    """Streamlit loses a press while it draws what was chosen just before."""
    button = page.get_by_role("button", name="Ask this", exact=True)
    if button.is_visible() and button.is_enabled():
        button.click()
    wall.wait_for_timeout(500)
    return wall.get_by_role("heading", name="How long does the first token take?").is_visible()


def a_class(page: Page, address: str) -> None:
    """The desk, the wall and a learner."""
    page.goto(f"{address}instructor")
    page.get_by_label("Instructor's key").fill(KEY)
    press(page, "Enter")
    press(page, "Open a class")
    way_in = page.get_by_text(re.compile(f"Join at {re.escape(address)}join"))
    expect(way_in).to_be_visible()
    assert comes(lambda: way_in.inner_text().split()[-1] not in CODES)  # of a test before
    code = way_in.inner_text().split()[-1]
    CODES.add(code)
    choose(page, "^Lesson", "99.")
    wall = page.context.new_page()
    wall.goto(f"{address}projector?room={code}")
    picture = wall.get_by_role("img", name="QR code of the way in")
    expect(wall.get_by_text(f"{address.partition('//')[2]}join", exact=True)).to_be_visible()
    assert picture.evaluate("async image => (await image.decode(), image.naturalWidth > 20)")
    assert comes(lambda: asked(page, wall))
    page.goto(f"{address}join?room={code}")
    press(page, "Join")
    vote(page, "120")
    expect(wall.get_by_text(re.compile("^1 of 1 ha"))).to_be_visible()  # over its own socket


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


def test_a_name_that_the_lab_does_not_know_says_so(below: Lab, browser: Browser, tmp_path: Path) -> None:
    with nginx(tmp_path, OTHER_NAME.format(host=below.host)) as proxy, visited(browser) as (page, _):
        page.goto(f"{proxy.url}/lessons")
        expect(page.get_by_text("This lab does not answer to the name in your address bar.")).to_be_visible()
        expect(page.get_by_text("SPLIT_KITCHEN_HOSTS")).to_be_visible()


def test_a_lab_that_is_away_says_so_until_it_is_back(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    with nginx(tmp_path, WHOLE_SITE.format(host=f"127.0.0.1:{port}")) as proxy, visited(browser) as (page, _):
        notice = page.get_by_role("alert").filter(has_text="The lab does not answer")
        with open_lab(ready=False, port=port):
            page.goto(f"{proxy.url}/lessons")
            expect(page.get_by_role("button", name="Start")).to_be_visible()
            expect(notice).to_have_count(0)
        expect(notice).to_be_visible()
        assert "tell whoever runs the lab" in notice.inner_text()
        with open_lab(ready=False, port=port):
            expect(notice).to_have_count(0)
