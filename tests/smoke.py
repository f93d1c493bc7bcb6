"""Does a lab that runs somewhere work? `python -m tests.smoke http://127.0.0.1:8501 [--stay]`

Without a browser: health, the page and all that it loads, and one run over the real protocol, token by token.
With --stay it then starts a long run and watches that for as long as the lab lasts.
"""

import json
import re
import sys
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from websockets.exceptions import ConnectionClosed

from tests.lab.conftest import Address, Visitor

ORDERS, ANSWER = 2, 16


def loads_its_page(lab: Address) -> int:
    """The number of scripts and styles that the page names, all of which are there."""
    status, kind, body = lab.get("/")
    assert (status, kind) == (200, "text/html"), (status, kind)
    named = re.findall(r'(?:src|href)="(\./static/[^"]+)"', body.decode())
    for path in named:
        status, kind, _ = lab.get(urljoin("/", path))
        assert (status, kind == "text/html") == (200, False), (path, status, kind)
    assert named
    return len(named)


def serves_a_run(lab: Address) -> dict[str, int]:
    """The number of tokens of each answer, watched as a page watches them."""
    with Visitor(lab, f"orders={ORDERS}&rate=all+at+once&answer={ANSWER}&prompt=64") as visitor:
        tokens: dict[str, int] = {}
        with lab.watch(visitor.open()) as socket:
            for text in socket:
                message = json.loads(text)
                for motion in message.get("motions", []):
                    if motion["kind"] == "token":
                        tokens[motion["request"]] = tokens.get(motion["request"], 0) + 1
                if message.get("over"):
                    assert message["refused"] == "", message
    assert len(tokens) == ORDERS, tokens
    return tokens


def stays(lab: Address) -> None:
    """Says "busy" once tokens are made, and goes when the lab hangs up; it fails if the run is over before."""
    long, busy = "orders=24&rate=all+at+once&answer=128", False
    with Visitor(lab, long) as visitor, lab.watch(visitor.open()) as line, suppress(ConnectionClosed):
        for text in line:
            assert "over" not in json.loads(text)
            if '"token"' in text and not busy:
                busy = True
                sys.stdout.write("busy\n")
                sys.stdout.flush()


def main(url: str, *also: str) -> None:
    lab = Address(urlsplit(url).netloc)
    status, health = lab.health()
    assert (status, health["status"], health["engine"]) == (200, "ok", "ready"), (status, health)
    sys.stdout.write(f"the page and its {loads_its_page(lab)} files load\n")
    sys.stdout.write(f"a run gave tokens: {serves_a_run(lab)}\n")
    if "--stay" in also:
        stays(lab)


if __name__ == "__main__":
    main(*sys.argv[1:])
