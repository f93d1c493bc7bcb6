"""Check a running lab: `python -m tests.smoke http://127.0.0.1:8501 [--stay]`

Needs no browser: it asks for health, loads the page and its files, and watches one run over the real protocol, token by
token. With --stay it then starts a long run and watches it until the lab ends.
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
    """Load the page and every script and style that it names. Returns their number."""
    status, kind, body = lab.get("/")
    assert (status, kind) == (200, "text/html"), (status, kind)
    named = re.findall(r'(?:src|href)="(\./static/[^"]+)"', body.decode())
    for path in named:
        status, kind, _ = lab.get(urljoin("/", path))
        assert (status, kind == "text/html") == (200, False), (path, status, kind)
    assert named
    return len(named)


def serves_a_run(lab: Address) -> dict[str, int]:
    """Watch a run as a page does. Returns the number of tokens of each answer."""
    with Visitor(
        lab, f"kitchen=Two+stations+and+a+pass&orders={ORDERS}&rate=all+at+once&answer={ANSWER}&prompt=64"
    ) as visitor:
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
    """Print "busy" at the first token and return when the lab closes the socket. Fails if the run ends first."""
    long, busy = "kitchen=Two+stations+and+a+pass&orders=24&rate=all+at+once&answer=128", False
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
