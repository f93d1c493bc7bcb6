"""Every transport puts the same bytes in the same places, and says so when it cannot."""

import socket
import threading
from collections.abc import Iterator
from unittest import mock

import msgspec
import numpy as np
import pytest
import torch

from engine.errors import TransportFailed
from engine.live.compute.kv import pool_on, pool_rows
from engine.live.compute.places import place
from engine.live.handoff import staging as module
from engine.live.handoff.checksum import checksum, digest
from engine.live.handoff.staging import staging
from engine.live.handoff.transport import Grants, Path, Segment
from engine.live.handoff.transports import Transports
from engine.live.handoff.transports.tcp import TcpEndpoint, TcpPath
from engine.live.model.shape import KvShape
from tests.engine.live.peer import KEY, PLACES, Peer, Peers, doors, on_every_road, seen, tray_rows
from tests.patience import PATIENCE_S

SHAPE = KvShape(layers=3, kv_heads=2, head_dim=8, block_tokens=4, dtype="bfloat16")
HERE, THERE = 12, 16  # blocks of the two pools
SOURCE, TARGET = (7, 2, 11, 0, 5), (3, 15, 0, 8, 1)

pytestmark = pytest.mark.live


@pytest.fixture(params=PLACES)
def where(request: pytest.FixtureRequest) -> str:
    """In whose memory the pools of both sides lie."""
    return str(request.param)


def sender(where: str) -> Transports:
    """Its pool is full of noise."""
    here = place(where)
    here.enter()
    pool = pool_on(here, SHAPE, HERE)
    rows = seen(pool)
    rows[:] = np.random.default_rng(0).integers(1, 256, rows.shape, np.uint8)  # no zeros: each row can be seen
    return Transports(pool, key=KEY, names=doors())


@pytest.fixture(scope="module")
def senders() -> Iterator[dict[str, Transports]]:
    made = {where: sender(where) for where in PLACES}
    yield made
    for transports in made.values():
        transports.close()


@pytest.fixture
def transports(senders: dict[str, Transports], where: str) -> Transports:
    return senders[where]


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    peers = Peers(SHAPE, THERE)
    yield peers
    peers.close()


@pytest.fixture
def peer(peers: Peers, where: str) -> Peer:
    peer = peers.at(where)
    peer.clear()
    peer.revoke("r")
    return peer


@pytest.fixture
def mortal_peer(where: str) -> Iterator[Peer]:
    peer = Peer(doors(), SHAPE, THERE, where)
    yield peer
    peer.close()


def pieces(transports: Transports, rows: int = 4, request: str = "r") -> list[Segment]:
    source, target = tray_rows(SHAPE, HERE, SOURCE), tray_rows(SHAPE, THERE, TARGET)
    cuts = [slice(first, first + rows) for first in range(0, len(source), rows)]
    return [Segment(request, pool_rows(transports.pool), source[cut], target[cut]) for cut in cuts]


def send(path: Path, pieces: list[Segment], sender: Transports) -> str:
    """The checksum of what was sent."""
    sent = checksum(sender.pool)
    for piece in pieces:
        path.write(piece, sent)
    path.flush()
    return sent.hexdigest()


def test_a_tray_is_in_the_order_layer_keys_or_values_block(transports: Transports) -> None:
    tray = seen(transports.pool)[tray_rows(SHAPE, HERE, SOURCE)]
    by_torch = transports.pool.by_block()[:, :, list(SOURCE)].contiguous()
    assert tray.tobytes() == by_torch.view(torch.uint8).numpy().tobytes()


@on_every_road
def test_scattered_blocks_land_bit_for_bit_and_nothing_else_does(
    transport: str, transports: Transports, peer: Peer
) -> None:
    peer.grant("r", TARGET)
    path = transports.connect(transport, peer.endpoints[transport])
    sent = send(path, pieces(transports), transports)
    path.close()
    assert peer.read(TARGET) == seen(transports.pool)[tray_rows(SHAPE, HERE, SOURCE)].tobytes()
    assert peer.written() == sorted(tray_rows(SHAPE, THERE, TARGET).tolist())
    assert peer.digest(TARGET) == digest(transports.pool, SOURCE) == sent


@on_every_road
def test_two_paths_to_one_receiver(transport: str, transports: Transports, peer: Peer) -> None:
    peer.grant("r", TARGET)
    one, other = (transports.connect(transport, peer.endpoints[transport]) for _ in range(2))
    for number, piece in enumerate(pieces(transports)):
        (one, other)[number % 2].write(piece, checksum(transports.pool))
    one.flush()
    other.flush()
    one.close()
    assert peer.digest(TARGET) == digest(transports.pool, SOURCE)
    send(other, pieces(transports), transports)  # closing one leaves the other
    other.close()


@on_every_road
def test_kv_of_another_shape_is_refused(transport: str, transports: Transports, peer: Peer) -> None:
    shape = msgspec.structs.replace(SHAPE, dtype="float32")
    other = Transports(pool_on(transports.pool.place, shape, HERE), key=KEY, names=[transport])
    with pytest.raises(TransportFailed, match=r"KV differs: .*float32.* here, .*bfloat16.* there"):
        other.connect(transport, peer.endpoints[transport])
    other.close()


@on_every_road
@pytest.mark.parametrize("endpoint", [b"", b"\xc1", msgspec.msgpack.encode({"type": "carrier pigeon"})])
def test_what_is_no_endpoint_is_refused(transport: str, endpoint: bytes, transports: Transports) -> None:
    with pytest.raises(TransportFailed, match="endpoint"):
        transports.connect(transport, endpoint)


@on_every_road
def test_a_receiver_that_dies_is_noticed(transport: str, transports: Transports, mortal_peer: Peer) -> None:
    mortal_peer.grant("r", TARGET)
    endpoint = mortal_peer.endpoints[transport]
    path = transports.connect(transport, endpoint)
    send(path, pieces(transports), transports)
    mortal_peer.kill()
    with pytest.raises(TransportFailed):
        send(path, pieces(transports), transports)
    path.close()
    with pytest.raises(TransportFailed):
        transports.connect(transport, endpoint)


def test_a_transport_that_was_not_opened_is_named(transports: Transports, peer: Peer) -> None:
    only_shm = Transports(transports.pool, key=KEY, names=["shm"])
    with pytest.raises(TransportFailed, match="no tcp transport"):
        only_shm.connect("tcp", peer.endpoints["tcp"])


# ---- what only TCP can do: refuse


def test_blocks_that_are_not_granted_are_not_written(transports: Transports, peer: Peer) -> None:
    peer.grant("r", TARGET[:-1])
    path = transports.connect("tcp", peer.endpoints["tcp"])
    with pytest.raises(TransportFailed, match="granted r no such blocks"):
        send(path, pieces(transports), transports)
    path.close()
    assert set(peer.written()) <= set(tray_rows(SHAPE, THERE, TARGET[:-1]).tolist())


def test_a_grant_is_for_one_request(transports: Transports, peer: Peer) -> None:
    peer.grant("another", TARGET)
    path = transports.connect("tcp", peer.endpoints["tcp"])
    with pytest.raises(TransportFailed, match="granted r no such blocks"):
        send(path, pieces(transports), transports)
    path.close()
    assert peer.written() == []


def test_after_a_grant_is_revoked_nothing_is_written(transports: Transports, peer: Peer) -> None:
    peer.grant("r", TARGET)
    path = transports.connect("tcp", peer.endpoints["tcp"])
    first, *rest = pieces(transports)
    send(path, [first], transports)
    peer.revoke("r")
    landed = peer.written()
    with pytest.raises(TransportFailed, match="refuses"):
        send(path, rest, transports)
    path.close()
    assert peer.written() == landed == sorted(first.target.tolist())


def test_revoking_waits_for_the_write_under_way() -> None:
    grants = Grants(THERE)
    grants.grant("r", TARGET)
    rows = tray_rows(SHAPE, THERE, TARGET)
    revoking = threading.Thread(target=grants.revoke, args=("r",))
    with grants.writing("r", rows) as granted:
        assert granted
        revoking.start()
        revoking.join(0.05)
        assert revoking.is_alive()
    revoking.join(PATIENCE_S)
    with grants.writing("r", rows) as granted:
        assert not granted


@pytest.mark.parametrize("row", [-1, SHAPE.layers * 2 * THERE])
def test_rows_outside_the_pool_are_refused(row: int, transports: Transports, peer: Peer) -> None:
    peer.grant("r", range(THERE))
    path = transports.connect("tcp", peer.endpoints["tcp"])
    piece = pieces(transports, rows=1)[0]._replace(target=np.array([row]))
    with pytest.raises(TransportFailed):
        send(path, [piece], transports)
    path.close()
    assert peer.written() == []


def test_a_piece_beyond_the_limit_is_refused(transports: Transports, peer: Peer) -> None:
    peer.grant("r", range(THERE))
    path = transports.connect("tcp", peer.endpoints["tcp"])
    stage = staging(transports.pool)
    first = np.zeros(len(stage.buffer) + 1, np.int64)
    piece = Segment("r", pool_rows(transports.pool), first, first)
    assert isinstance(path, TcpPath)
    with mock.patch.multiple(module, HOST_BYTES=2 * stage.buffer.nbytes, DEVICE_BYTES=2 * stage.buffer.nbytes):
        path._stage = staging(transports.pool)  # a sender that knows no limit
    with pytest.raises(TransportFailed):
        send(path, [piece], transports)
    path.close()
    assert peer.written() == []


def test_nobody_gets_in_without_the_key(transports: Transports, peer: Peer) -> None:
    stranger = Transports(transports.pool, key=b"another key", names=["tcp"])
    with pytest.raises(TransportFailed, match="key"):
        stranger.connect("tcp", peer.endpoints["tcp"])
    stranger.close()


def test_a_receiver_that_does_not_know_the_key_gets_no_bytes(transports: Transports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pretend() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(bytes(32))
                connection.recv(64)
                connection.sendall(bytes(32))  # a proof of nothing

        threading.Thread(target=pretend, daemon=True).start()
        address = TcpEndpoint(SHAPE, THERE, "127.0.0.1", listener.getsockname()[1])
        with pytest.raises(TransportFailed, match="does not know our key"):
            transports.connect("tcp", msgspec.msgpack.encode(address))


def test_strangers_that_say_nothing_or_nonsense_keep_nobody_out(transports: Transports, peer: Peer) -> None:
    address = msgspec.msgpack.decode(peer.endpoints["tcp"], type=TcpEndpoint)
    with (
        socket.create_connection((address.host, address.port)),
        socket.create_connection((address.host, address.port)) as loud,
    ):
        loud.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        peer.grant("r", TARGET)
        path = transports.connect("tcp", peer.endpoints["tcp"])
        send(path, pieces(transports), transports)
        path.close()


def test_tcp_can_be_called_at_another_address_than_it_listens_on(transports: Transports) -> None:
    pool = pool_on(transports.pool.place, SHAPE, THERE)
    everywhere = Transports(pool, key=KEY, names=["tcp"], host="0.0.0.0", advertise="localhost")
    everywhere.grants.grant("r", TARGET)
    path = transports.connect("tcp", everywhere.endpoints["tcp"])
    send(path, pieces(transports), transports)
    assert digest(pool, TARGET) == digest(transports.pool, SOURCE)
    everywhere.close()
    with pytest.raises(TransportFailed):
        send(path, pieces(transports), transports)
    path.close()
