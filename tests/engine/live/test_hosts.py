"""Workers that join from elsewhere: the key, the server, a seat; and two hosts, each a network namespace of its own."""

import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import BadInput, TransportFailed
from engine.events import Event, HandoffMoved, WorkerDown, WorkerUp
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.process import join_server
from engine.live.process.front import Front
from engine.live.process.join_server import KEY_VARIABLE, JoinServer, join, shared_key
from engine.live.process.run import run_live
from engine.log import load
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from tests.disturbed import answers, recalled, run_on_front
from tests.patience import PATIENCE_S, comes

pytestmark = pytest.mark.live

KEY = "a secret that all hosts of these tests share"
TINY = ModelSpec("tiny-llama", "fp32")
SPLIT = Deployment("disaggregated", transport="tcp")
SCENARIO = Scenario(
    SPLIT,
    LinkSpec(400e3, 0.001),
    Workload(requests=4, prompt_tokens=300, output_tokens=30, ignore_eos=True),
    TINY,
)
PROGRAM = [sys.executable, "-c", "from lab.web.cli import main; main()"]


class Crew:
    """Processes that a test has started; it leaves none behind."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, inside: Sequence[str] = (), key: str = KEY) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*inside, *PROGRAM, *arguments],
            env={**os.environ, KEY_VARIABLE: key},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def worker(self, address: str, role: str = "any", **where: Any) -> "subprocess.Popen[str]":
        return self.start("worker", "--join", address, "--role", role, **where)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


def said(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """How it ended: exit code, stdout, stderr."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


# ---- the server


@pytest.fixture
def server() -> Iterator[JoinServer]:
    server = JoinServer(("127.0.0.1", 0), KEY.encode())
    yield server
    server.close()


def test_whoever_has_the_key_comes_in_and_learns_its_own_address(server: JoinServer) -> None:
    connection, own_address = join(server.address, KEY.encode())
    assert own_address == "127.0.0.1"
    connection.send_bytes(b"hello")
    assert server.signal.poll(PATIENCE_S)
    newcomer = server.joined.get()
    assert newcomer.recv_bytes() == b"hello"
    newcomer.close()
    connection.close()


def test_another_key_opens_no_door(server: JoinServer, crew: Crew) -> None:
    with pytest.raises(TransportFailed, match=rf"^127\.0\.0\.1:\d+ has another {KEY_VARIABLE}\.$"):
        join(server.address, b"another secret, as long as it is")
    code, out, err = said(crew.worker(f"127.0.0.1:{server.address[1]}", key="another secret, as long as it is"))
    assert (code, out) == (1, "")
    assert err == f"127.0.0.1:{server.address[1]} has another {KEY_VARIABLE}.\n"
    assert server.joined.empty()


def test_a_front_that_does_not_know_the_key_is_not_joined() -> None:
    """It may let everybody in: the worker asks for a proof too."""
    impostor = JoinServer(("127.0.0.1", 0), b"no secret of ours")
    with pytest.raises(TransportFailed, match="has another"):
        join(impostor.address, KEY.encode())
    impostor.close()


def test_silent_and_noisy_strangers_keep_nobody_out(server: JoinServer) -> None:
    with socket.create_connection(server.address), socket.create_connection(server.address) as noisy:
        noisy.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        connection, _ = join(server.address, KEY.encode())
        assert server.signal.poll(PATIENCE_S)
        connection.close()


def test_strangers_that_say_nothing_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_server, "HANDSHAKE_S", 1.0)
    monkeypatch.setattr(join_server, "MOST_STRANGERS", 3)
    server = JoinServer(("127.0.0.1", 0), KEY.encode())
    before = threading.active_count()
    strangers = [socket.create_connection(server.address) for _ in range(20)]
    assert threading.active_count() <= before + 3
    for stranger in strangers:
        stranger.settimeout(PATIENCE_S)
        while stranger.recv(1 << 12):
            pass  # the challenge, where there was room for it; then the end
        stranger.close()
    assert comes(lambda: threading.active_count() == before)
    join(server.address, KEY.encode())[0].close()
    server.close()


def test_half_a_message_of_a_peer_with_the_key_does_not_hold_up_the_front(
    key: None, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_server, "HANDSHAKE_S", 1.0)
    host, port = free_address()
    with Front(SPLIT, LinkSpec(), TINY, listen=(host, port)) as front:
        half, _ = join((host, port), KEY.encode())
        os.write(half.fileno(), struct.pack("!i", 100) + b"hello")
        for _ in range(2):
            crew.worker(f"{host}:{port}")
        front.start()
        half.close()


def test_a_worker_knocks_until_the_door_opens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        address = placeholder.getsockname()
    joined: list[str] = []
    knocking = threading.Thread(target=lambda: joined.append(join(address, KEY.encode())[1]), daemon=True)
    knocking.start()
    knocking.join(0.3)
    assert knocking.is_alive()
    server = JoinServer(address, KEY.encode())
    knocking.join(PATIENCE_S)
    server.close()
    assert joined == ["127.0.0.1"]


def test_a_worker_does_not_knock_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        address = placeholder.getsockname()
    with pytest.raises(TransportFailed, match=rf"^Nothing listens at 127\.0\.0\.1:{address[1]}: .*refused\.$"):
        join(address, KEY.encode(), patience_s=0.0)


def test_whoever_listens_and_says_nothing_is_no_front() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TransportFailed, match="does not speak to workers"),
    ):
        join(silent.getsockname(), KEY.encode(), patience_s=0.1)


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_that_is_none_is_refused_and_not_repeated(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(BadInput, match=f"^{KEY_VARIABLE} is .* 16 characters or more") as refused:
        shared_key()
    assert not key or key not in str(refused.value)


# ---- a seat


def free_address() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        host, port = placeholder.getsockname()
        return host, port


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.mark.usefixtures("key")
def test_workers_sit_where_they_want_vanish_and_are_followed_by_others(crew: Crew) -> None:
    host, port = free_address()
    address = f"{host}:{port}"
    decoding, prefilling = (crew.worker(address, role) for role in ("decode", "prefill"))
    with Front(SPLIT, LinkSpec(), TINY, listen=(host, port)) as front:
        front.start()
        seated = {event.worker: event.pid for event in front.standing() if isinstance(event, WorkerUp)}
        assert seated == {"worker-0": prefilling.pid, "worker-1": decoding.pid}
        spare = crew.worker(address)
        while spare.poll() is None:
            front.poll(0.1)
        refusal = f"{address} has no seat for a worker of role any, or its run is over.\n"
        assert said(spare) == (1, "", refusal)
        calm = answers(run_on_front(front, SCENARIO))

        def vanish(front: Front, event: Event) -> bool:
            if isinstance(event, HandoffMoved):
                decoding.kill()
                crew.worker(address, "decode")
            return isinstance(event, HandoffMoved)

        log = run_on_front(front, SCENARIO, vanish)
        assert recalled(log)
        assert [type(event) for event in log.events if isinstance(event, WorkerDown)] == [WorkerDown]
        assert answers(log) == calm
    assert said(prefilling) == (0, "", "")  # told to stop, it has nothing to complain of


# ---- two hosts

ADDRESSES = {"a": "10.77.0.1", "b": "10.77.0.2"}  # seen from inside the namespaces only
DOOR = (ADDRESSES["a"], 7000)
CLONE_NEWNET = 0x40000000


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Hosts:
    """Two network namespaces, `a` and `b`, and a cable. `b` says that it booted alone, so its clock is asked for."""

    def __init__(self, boot_id: Path) -> None:
        boot_id.write_text("another host\n")
        self._names = {host: f"split-kitchen-{os.getpid()}-{host}" for host in ADDRESSES}
        another_boot = ["sh", "-c", f'mount --bind {boot_id} /proc/sys/kernel/random/boot_id && exec "$@"', "sh"]
        self.within = {
            "a": ["ip", "netns", "exec", self._names["a"]],
            "b": ["ip", "netns", "exec", self._names["b"], *another_boot],
        }

    def join(self) -> None:
        a, b = self._names.values()
        ip("netns", "add", a)
        ip("netns", "add", b)
        ip("link", "add", "cable", "netns", a, "type", "veth", "peer", "name", "cable", "netns", b)
        for host, name in self._names.items():
            ip("-n", name, "address", "add", f"{ADDRESSES[host]}/30", "dev", "cable")
            ip("-n", name, "link", "set", "lo", "up")
            self.plug(host)

    def plug(self, host: str) -> None:
        ip("-n", self._names[host], "link", "set", "cable", "up")

    def unplug(self, host: str) -> None:
        ip("-n", self._names[host], "link", "set", "cable", "down")

    @contextmanager
    def entered(self, host: str) -> Iterator[None]:
        """Sockets that this thread makes meanwhile are that host's."""
        c = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self._names[host]}") as there:
            assert c.setns(there.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert c.setns(here.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())

    def close(self) -> None:
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces take iproute2's `ip`, which is not here")
    hosts = Hosts(tmp_path / "boot_id")
    try:
        try:
            hosts.join()
        except subprocess.CalledProcessError as refused:
            pytest.skip(f"network namespaces can't be made here: {refused.stderr.strip()}")
        yield hosts
    finally:
        hosts.close()


@pytest.fixture(scope="module")
def one_host() -> dict[str, tuple[int, ...]]:
    return answers(run_live(SCENARIO))


def test_two_hosts_give_the_tokens_of_one(
    hosts: Hosts, crew: Crew, one_host: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    server, load_of = f"{DOOR[0]}:{DOOR[1]}", SCENARIO.workload
    decoding = crew.worker(server, "decode", inside=hosts.within["b"])  # early: it knocks until the front is there
    prefilling = crew.worker(server, "prefill", inside=hosts.within["a"])
    record = tmp_path / "run.jsonl"
    front = crew.start(
        *("run", "--json", "--listen", server, "--record", str(record), "--transport", "tcp", "--link", "20MB/s"),
        *("--deployment", "disaggregated", "--model", "tiny-llama", "--dtype", "fp32", "--ignore-eos"),
        *("--requests", str(load_of.requests), "--prompt-tokens", str(load_of.prompt_tokens)),
        *("--output-tokens", str(load_of.output_tokens)),
        inside=hosts.within["a"],
    )
    code, out, err = said(front)
    assert (code, err) == (0, "")
    run = json.loads(out)
    assert {request["id"]: tuple(request["output_ids"]) for request in run["requests"]} == one_host
    assert [handoff["verified"] for handoff in run["handoffs"]] == [True] * load_of.requests
    assert run["link"]["transport"] == "tcp"
    check(load(record).events)  # with the clocks of both hosts in it
    assert said(decoding) == said(prefilling) == (0, "", "")


@pytest.mark.usefixtures("key")
def test_a_host_whose_cable_is_pulled(hosts: Hosts, crew: Crew, one_host: dict[str, tuple[int, ...]]) -> None:
    """Nobody says goodbye: both sides notice the silence, and a worker that joins later takes the seat."""
    server = f"{DOOR[0]}:{DOOR[1]}"
    crew.worker(server, "prefill", inside=hosts.within["a"])
    cut_off = crew.worker(server, "decode", inside=hosts.within["b"])

    def pull_and_mend(front: Front, event: Event) -> bool:
        if isinstance(event, HandoffMoved):
            hosts.unplug("b")
        if isinstance(event, WorkerDown):
            hosts.plug("b")
            crew.worker(server, "decode", inside=hosts.within["b"])
        return isinstance(event, WorkerDown)

    with hosts.entered("a"):
        front = Front(SPLIT, LinkSpec(), TINY, listen=DOOR)
    with front:
        front.start()
        scenario = msgspec.structs.replace(SCENARIO, deployment=msgspec.structs.replace(SPLIT, ship="layers"))
        log = run_on_front(front, scenario, pull_and_mend)
    assert recalled(log)
    assert answers(log) == one_host
    assert said(cut_off)[0] == 0


@pytest.mark.parametrize(("output_tokens", "said_too"), [(4, ""), (12, "No request was answered.")])
def test_handoffs_that_all_fail_are_said_before_any_number(
    hosts: Hosts, crew: Crew, output_tokens: int, said_too: str
) -> None:
    """A worker tells the others an address that is only its own host's. Few tokens are all made by prefilling again."""
    server = f"{DOOR[0]}:{DOOR[1]}"
    crew.worker(server, "prefill", inside=hosts.within["a"])
    crew.start("worker", "--join", server, "--role", "decode", "--host", "127.0.0.1", inside=hosts.within["b"])
    front = crew.start(
        *("run", "--listen", server, "--transport", "tcp", "--model", "tiny-llama", "--dtype", "fp32", "--ignore-eos"),
        *("--requests", "2", "--prompt-tokens", "40", "--output-tokens", str(output_tokens)),
        inside=hosts.within["a"],
    )
    code, out, err = said(front)
    assert (code, "TTFT" in out) == (1, True)
    assert "No handoff succeeded, so what was answered was prefilled again for each token" in err
    assert "cannot be reached" in err
    assert err.startswith(said_too or "No handoff")
