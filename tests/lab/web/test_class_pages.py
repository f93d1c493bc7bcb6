"""The class's own page: how much it weighs, how long it is kept, and whose it is."""

import gzip
import json
import re
import urllib.request
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from lab.ui.learner import COOKIE, GIVEN, name_of
from tests.lab.conftest import Lab
from tests.patience import PATIENCE_S

TO_VOTE_BYTES = 30_000  # over the wire, for whoever has scanned the code: the page, its module and style, and a form


def fetched(lab: Lab, path: str) -> tuple[bytes, Any]:
    """What crosses the wire, and the headers."""
    asked = urllib.request.Request(f"{lab.url}/{path}", headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        return answer.read(), answer.headers


@pytest.mark.live
def test_a_phone_loads_little_before_it_can_vote(lab: Lab) -> None:
    page, headers = fetched(lab, "join?room=ABCDE")
    assert headers["Cache-Control"] == "no-store"
    html = (gzip.decompress(page) if headers["Content-Encoding"] == "gzip" else page).decode()
    found = re.search(r'id="data">(.*?)</script>', html)
    assert found
    data = json.loads(found[1])
    style = re.search(r'rel="stylesheet" href="([^"]+)"', html)
    assert style
    weights = {"page": len(page)}
    for address in (style[1], *(data["modules"][name] for name in ("class", "number", "curve"))):
        body, headers = fetched(lab, address)
        assert headers["Content-Encoding"] == "gzip"
        assert "immutable" in headers["Cache-Control"]
        assert gzip.decompress(body)
        weights[address] = len(body)
    assert sum(weights.values()) < TO_VOTE_BYTES, weights
    assert data["room"] == "ABCDE"
    assert data["page"]["step"] == "join"


@pytest.mark.live
@pytest.mark.parametrize("name", ["class.0000000000000000.js", "nothing.js", "class", "kitchen.js", "class.js.css"])
def test_a_module_of_another_content_is_not_there(lab: Lab, name: str) -> None:
    assert lab.get(f"/lab/static/{name}")[0] == 404


@pytest.mark.parametrize(
    ("cookie", "given", "says", "who"),
    [
        ("A" * 22, "B" * 22, "C" * 22, ("A" * 22, False)),
        ("A" * 21, "", "C" * 22, ("C" * 22, True)),
        ("", "B" * 22, "", ("B" * 22, True)),
        ("", "B" * 22, "not a name", ("B" * 22, True)),
    ],
)
def test_a_cookie_counts_for_more_than_what_a_page_says(
    cookie: str, given: str, says: str, who: tuple[str, bool]
) -> None:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    scope = {"type": "http", "headers": headers} | ({GIVEN: given} if given else {})
    assert name_of(HTTPConnection(scope), says) == who
