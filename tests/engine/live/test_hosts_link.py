"""`doctor --link`: real bytes over loopback, bounded, and only for those who know the key."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

import pytest

from engine.cli import cli, run_cli
from engine.errors import BadInput, TransportFailed
from engine.live.process import hosts_link
from engine.live.process.hosts_link import COUNT, HOW_MUCH, PING, SEND, TAKE, WORD_BYTES, Stream, measure, serve
from engine.live.process.join_server import KEY_VARIABLE, JoinServer, join
from tests.patience import PATIENCE_S

KEY = "a secret that both ends of these tests share"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def server(outcome: "SimpleQueue[object]") -> int:
    """A server in a thread: its port. What it ends with goes to `outcome`."""
    port: SimpleQueue[int] = SimpleQueue()

    def run() -> None:
        try:
            serve(0, host="127.0.0.1", wait_s=PATIENCE_S, ready=port.put)
            outcome.put(None)
        except TransportFailed as failed:
            outcome.put(failed)

    Thread(target=run, daemon=True).start()
    return port.get(timeout=PATIENCE_S)


@contextmanager
def stranger(act: Callable[[Stream], None]) -> Iterator[int]:
    """Somebody who has the key and then does as `act` says."""
    server = JoinServer(("127.0.0.1", 0), KEY.encode())

    def run() -> None:
        with server.joined.get(timeout=PATIENCE_S) as stream:
            act(stream)

    thread = Thread(target=run, daemon=True)
    thread.start()
    yield server.address[1]
    server.close()
    thread.join(PATIENCE_S)


def test_bytes_cross_both_ways_and_are_counted() -> None:
    outcome: SimpleQueue[object] = SimpleQueue()
    port = server(outcome)
    stream = measure(("127.0.0.1", port), seconds=30, most_bytes=20_000_000)  # the bytes end it, not the time
    whole_pieces = 20_000_000 // hosts_link.PIECE_BYTES * hosts_link.PIECE_BYTES
    assert stream.bytes == 2 * whole_pieces
    assert stream.peer == f"127.0.0.1:{port}"
    assert min(stream.round_trip_s, stream.sent_bytes_per_s, stream.received_bytes_per_s) > 0
    assert outcome.get(timeout=PATIENCE_S) is None


def test_time_ends_it_too() -> None:
    port = server(SimpleQueue())
    assert measure(("127.0.0.1", port), seconds=0.0).bytes == 2 * hosts_link.PIECE_BYTES  # one piece each way, at least


def test_another_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    port = server(SimpleQueue())
    monkeypatch.setenv(KEY_VARIABLE, "quite another secret")
    with pytest.raises(TransportFailed, match=KEY_VARIABLE):
        measure(("127.0.0.1", port))


def test_nobody_there_and_nobody_calling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_link, "PATIENCE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TransportFailed, match="Nothing listens"):
        measure(("127.0.0.1", port))
    with pytest.raises(TransportFailed, match="Nobody has connected"):
        serve(0, host="127.0.0.1", wait_s=0.01)


def echo(stream: Stream) -> None:
    for _ in range(hosts_link.PINGS):
        stream.send_bytes(stream.recv_bytes())


def test_a_server_that_hangs_up_or_lies_or_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(stream: Stream) -> None:
        echo(stream)
        assert stream.recv_bytes() == TAKE
        while stream.recv_bytes():
            pass
        stream.send_bytes(COUNT.pack(1))
        stream.recv_bytes()
        stream.send_bytes(b"x")
        stream.send_bytes(b"")

    def fall_silent(stream: Stream) -> None:
        echo(stream)
        stream.poll(PATIENCE_S)

    for act, words in ((echo, "hung up"), (lie, "got 1 of"), (fall_silent, "fell silent")):
        monkeypatch.setattr(hosts_link, "PATIENCE_S", PATIENCE_S if act is not fall_silent else 1.0)
        with stranger(act) as port, pytest.raises(TransportFailed, match=words):
            measure(("127.0.0.1", port), seconds=0)


@pytest.mark.parametrize("words", [[b"nonsense"], [SEND + b"short"], [TAKE, b"x" * 100, b"x" * 100]])
def test_a_caller_that_talks_nonsense_or_sends_too_much(words: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_link, "MOST_BYTES", 150)
    outcome: SimpleQueue[object] = SimpleQueue()
    stream, _ = join(("127.0.0.1", server(outcome)), KEY.encode())
    with stream:
        for word in words:
            stream.send_bytes(word)
        assert isinstance(outcome.get(timeout=PATIENCE_S), TransportFailed)


def test_a_caller_cannot_make_the_server_send_more_than_it_will(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_link, "MOST_BYTES", 1000)
    stream, _ = join(("127.0.0.1", server(SimpleQueue())), KEY.encode())
    with stream:
        stream.send_bytes(PING)
        assert stream.recv_bytes(WORD_BYTES) == PING
        stream.send_bytes(SEND + HOW_MUCH.pack(1e9, 2**62))
        assert len(stream.recv_bytes()) == 1000
        assert stream.recv_bytes() == b""


def test_it_needs_a_key_and_an_address(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_cli(cli, ["doctor", "--link", "elsewhere"]) == 2
    assert "HOST:PORT" in capfd.readouterr().err
    assert run_cli(cli, ["doctor", "--link", "h:1", "--serve-link", "7000"]) == 2
    assert "left out with" in capfd.readouterr().err
    monkeypatch.delenv(KEY_VARIABLE)
    for options in (["--link", "127.0.0.1:7000"], ["--serve-link", "7000"]):
        assert run_cli(cli, ["doctor", *options]) == 2
        assert KEY_VARIABLE in capfd.readouterr().err
    with pytest.raises(BadInput, match=KEY_VARIABLE):
        measure(("127.0.0.1", 7000))


@pytest.mark.live
def test_two_processes_measure(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    program = [sys.executable, "-c", "from lab.web.cli import main; main()", "doctor", "--serve-link", port]
    with subprocess.Popen(program, env=os.environ | {KEY_VARIABLE: KEY}, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert f":{port}" in server.stderr.readline()
        asked = ["doctor", "--json", "--model", "tiny-llama", "--link", f"127.0.0.1:{port}"]
        assert run_cli(cli, asked) == 0
        assert server.wait(PATIENCE_S) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["link"]["sent_bytes_per_s"] > 0
    assert said["findings"][-1]["what"].startswith(f"One TCP stream to 127.0.0.1:{port}")
