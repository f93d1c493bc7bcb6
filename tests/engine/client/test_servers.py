"""Servers as people run them: packed streams that are cut anywhere, busy ones, IPv6, a certificate of one's own."""

import gzip
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from engine.client.run import run_outside
from engine.errors import BadInput
from engine.metrics import summarize
from tests.engine.client.openai_like import openai_like
from tests.engine.client.test_quirks import END, ONE, WELL, why


def test_a_stream_may_be_packed_and_cut_anywhere() -> None:
    """In the middle of a letter too."""
    plays = WELL.replace(b"Hi", "Grüße 🍳".encode()) + END
    for packed, at_once in ((False, 1), (True, 1 << 20), (True, 3)):
        with openai_like() as server:
            server.plays, server.at_once = gzip.compress(plays) if packed else plays, at_once
            server.more = "Content-Encoding: gzip\r\n" if packed else ""
            log = run_outside(ONE, server.url)
        assert [request.text for request in summarize(log.events).requests] == ["Grüße 🍳"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_has_no_room_has_refused(status: int) -> None:
    with openai_like() as server:
        server.status, server.kind = status, "application/json"
        server.plays = b'{"error": {"message": "too many orders"}}'
        log = run_outside(ONE, server.url)
    assert why(log) == [f"The server refused it: HTTP {status}, too many orders."]


def test_a_server_by_ipv6() -> None:
    with openai_like(host="::1") as server:
        assert why(run_outside(ONE, server.url)) == []


def test_a_server_whose_certificate_somebody_made_himself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", *files]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    subprocess.run([*made, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with openai_like(tls=tls) as server:
        with pytest.raises(BadInput, match=r"endpoint is .*certificate"):
            run_outside(ONE, server.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert why(run_outside(ONE, server.url)) == []
