"""The light pages of a class: how much they weigh, how long they are kept, whose they are, and the way in as a code."""

import gzip
import json
import re
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import HTTPConnection

from lab.ui.learner import COOKIE, GIVEN, name_of
from lab.web.icons import STATIC
from lab.web.landing import SHELL
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


@pytest.mark.live
def test_streamlits_own_files_are_compressed_once_and_kept(lab: Lab) -> None:
    names = re.findall(r'"\./(static/(?:js|css)/index[^"]+)"', SHELL)
    assert names
    for name in names:
        body, headers = fetched(lab, name)
        assert headers["Content-Encoding"] == "gzip"
        assert "immutable" in headers["Cache-Control"]
        assert gzip.decompress(body) == (STATIC.parent / name).read_bytes() == lab.get(f"/{name}")[2]


@pytest.mark.live
@pytest.mark.parametrize("path", ["js/none.js", "", "js", "%2e%2e/index.html", "js/%2e%2e/%2e%2e/index.html"])
def test_no_other_file_is_given_out(lab: Lab, path: str) -> None:
    assert lab.get(f"/static/{path}")[0] == 404


@pytest.mark.live
def test_only_the_lab_s_own_address_becomes_a_code(lab: Lab) -> None:
    def asked(address: str) -> int:
        return lab.get(f"/lab/class/qr?at={quote(address, safe='')}")[0]

    own = f"{lab.url}/hub/user/ann/proxy/8501/join?room=ABCDE"
    status, kind, body = lab.get(f"/lab/class/qr?at={quote(own, safe='')}")
    assert (status, kind) == (200, "image/svg+xml")
    assert body.lstrip().startswith(b"<?xml") or b"<svg" in body[:200]
    strange = ["http://evil.example/join", f"{lab.url}@evil.example/", "javascript:alert(1)", "", own + "x" * 300]
    assert [asked(address) for address in strange] == [400] * len(strange)


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
