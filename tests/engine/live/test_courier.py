"""The courier: the right bytes at the right pace, and not one more once it is told to stop."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from queue import SimpleQueue

import numpy as np
import pytest

from engine.errors import TransportFailed
from engine.events import Event, HandoffMoved, HandoffStarted
from engine.link import LinkSpec
from engine.live.compute.kv import Bytes, Pool, pool_on
from engine.live.compute.places import place
from engine.live.handoff import courier as courier_module
from engine.live.handoff.checksum import Checksum, digest
from engine.live.handoff.courier import PIECE_S, Courier
from engine.live.handoff.transport import PACED_BYTES, TOLD_EVERY_S, Path, Segment
from engine.live.handoff.transports import Transports
from engine.live.model.shape import KvShape
from engine.messages import Report, Ship, ShipFailed, Shipped
from tests.engine.live.peer import KEY, PLACES, Peer, Peers, in_every_place, on_every_road, seen, tray_rows
from tests.patience import PATIENCE_S

SHAPE = KvShape(layers=4, kv_heads=2, head_dim=32, block_tokens=16, dtype="float32")
ROW = 16 * 2 * 32 * 4
BLOCKS = 64
SOURCE = (7, 2, 11, 0, 5, 63, 40, 41, 42, 20, 33, 12, 9, 60, 59, 58)
TARGET = (3, 15, 0, 8, 1, 62, 63, 30, 29, 28, 50, 44, 43, 21, 22, 23)
ELSEWHERE = tuple(block for block in range(BLOCKS) if block not in TARGET)[:16]
NBYTES = 4 * 2 * 16 * ROW  # 512 KiB
UNPACED = LinkSpec()

pytestmark = pytest.mark.live


class Log:
    """What a courier says and reports, in order."""

    def __init__(self) -> None:
        self.everything: list[Event | Report] = []
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._moved: SimpleQueue[int] = SimpleQueue()

    def say(self, event: Event) -> None:
        self.everything.append(event)
        if isinstance(event, HandoffMoved):
            self._moved.put(event.bytes_done)

    def report(self, report: Report) -> None:
        self.everything.append(report)
        self._reports.put(report)

    def shipped(self) -> Shipped:
        report = self._reports.get(timeout=PATIENCE_S)
        assert isinstance(report, Shipped), report
        return report

    def failed(self) -> ShipFailed:
        report = self._reports.get(timeout=PATIENCE_S)
        assert isinstance(report, ShipFailed), report
        return report

    def silent(self) -> bool:
        return self._reports.empty()

    def moved(self) -> int:
        """Wait until some bytes have moved."""
        return self._moved.get(timeout=PATIENCE_S)

    def of(self, kind: type[Event]) -> list[Event]:
        return [entry for entry in self.everything if isinstance(entry, kind)]


class Recorder(Transports):
    """Its paths go nowhere, and remember who asked for what."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, key=KEY, names=[])
        self.connected = 0
        self.connecting = threading.Lock()  # held: it takes long
        self.pieces: list[Segment] = []
        self.broken = False

    def connect(self, transport: str, endpoint: bytes) -> Path:
        self.connected += 1
        with self.connecting:
            pass
        return RecordedPath(self)

    def order(self) -> list[tuple[str, int]]:
        """(request, row of my pool), as they were written."""
        return [(piece.request, row) for piece in self.pieces for row in piece.source.tolist()]


class RecordedPath:
    blocks = BLOCKS
    piece_bytes = NBYTES
    paced_bytes = PACED_BYTES
    told_every_s = TOLD_EVERY_S

    def __init__(self, transports: Recorder) -> None:
        self._transports = transports

    def write(self, piece: Segment, checksum: Checksum) -> None:
        if self._transports.broken:
            raise TransportFailed("The road is broken.")
        self._transports.pieces.append(piece)
        checksum.add(piece.memory, piece.source)

    def flush(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def where() -> str:
    """In whose memory the pools of both sides lie: on the host, unless a test asks for more."""
    return "cpu"


@pytest.fixture(scope="module")
def pools() -> dict[str, Pool]:
    return {where: noise(where) for where in PLACES}


def noise(where: str) -> Pool:
    here = place(where)
    here.enter()
    pool = pool_on(here, SHAPE, BLOCKS)
    rows = seen(pool)
    rows[:] = np.random.default_rng(0).integers(1, 256, rows.shape, np.uint8)
    return pool


@pytest.fixture
def pool(pools: dict[str, Pool], where: str) -> Pool:
    return pools[where]


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    peers = Peers(SHAPE, BLOCKS)
    yield peers
    peers.close()


@pytest.fixture
def peer(peers: Peers, where: str) -> Peer:
    return peers.at(where)


@pytest.fixture
def log() -> Log:
    return Log()


Start = Callable[..., Courier]


@pytest.fixture
def start(log: Log) -> Iterator[Start]:
    running: list[Courier] = []

    def start(transports: Transports, link: LinkSpec = UNPACED) -> Courier:
        courier = Courier(transports, link, say=log.say, report=log.report, clock=time.monotonic, name="prefill-0")
        running.append(courier)
        return courier

    yield start
    for courier in running:
        courier.close()


class SkippingClock:
    """The real clock, and what a test lets pass at once."""

    skipped_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SkippingClock:
    clock = SkippingClock()
    monkeypatch.setattr(courier_module, "time", clock)
    return clock


@pytest.fixture
def recorder(pool: Pool) -> Recorder:
    return Recorder(pool)


@pytest.fixture
def memory(pool: Pool) -> Iterator[tuple[Transports, Bytes]]:
    """A receiver's pool in this process, to look into while bytes arrive."""
    theirs = pool_on(pool.place, SHAPE, BLOCKS)
    transports = Transports(theirs, key=KEY)
    yield transports, seen(theirs)
    transports.close()


def ship(request: str = "r", endpoint: bytes = b"", blocks: tuple[int, ...] = TARGET) -> Ship:
    return Ship(request, "decode-0", endpoint, blocks)


# ---- the right bytes


@pytest.mark.parametrize("layered", [False, True], ids=["whole", "layers"])
@on_every_road
def test_a_tray_lands_bit_for_bit(
    where: str, transport: str, layered: bool, pool: Pool, peer: Peer, log: Log, start: Start
) -> None:
    transports = Transports(pool, key=KEY, names=[transport])
    courier = start(transports, LinkSpec(50e6, 0.001))
    peer.clear()
    peer.grant("r", TARGET)
    order = ship(endpoint=peer.endpoints[transport])
    if layered:
        courier.begin(order, transport, SOURCE)
        for layer in range(SHAPE.layers):
            courier.layer_ready("r", layer, pool.place.mark())
            wait_for(lambda: all_sent(courier))  # so every layer is sent by itself
    else:
        courier.ship(order, transport, SOURCE)
    shipped = log.shipped()
    assert peer.read(TARGET) == seen(pool)[tray_rows(SHAPE, BLOCKS, SOURCE)].tobytes()
    assert peer.written() == sorted(tray_rows(SHAPE, BLOCKS, TARGET).tolist())
    assert shipped.digest == digest(pool, SOURCE) == peer.digest(TARGET)
    assert (shipped.request, shipped.nbytes, shipped.configured_bytes_per_s) == ("r", NBYTES, 50e6)
    courier.close()
    transports.close()


def test_what_it_says_of_a_tray(recorder: Recorder, log: Log, start: Start) -> None:
    link = LinkSpec(NBYTES / 1.0)
    start(recorder, link).ship(ship(), "shm", SOURCE)
    log.shipped()
    started, *moved, last, shipped = log.everything
    assert isinstance(started, HandoffStarted)
    assert (started.source, started.target, started.transport) == ("prefill-0", "decode-0", "shm")
    assert (started.nbytes, started.configured_bytes_per_s) == (NBYTES, link.bandwidth_bytes_per_s)
    done = [entry.bytes_done for entry in [*moved, last] if isinstance(entry, HandoffMoved)]
    assert len(done) == len(moved) + 1 > 2
    assert done == sorted(set(done))
    assert done[-1] == NBYTES
    times = [entry.t for entry in [started, *moved] if isinstance(entry, HandoffStarted | HandoffMoved)]
    assert all(later - earlier > TOLD_EVERY_S * 0.9 for earlier, later in pairwise(times))
    assert isinstance(shipped, Shipped)


def test_layers_go_in_order_as_they_are_made(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder)
    courier.begin(ship(), "shm", SOURCE)
    courier.layer_ready("r", 1)  # the first two at once
    rows = tray_rows(SHAPE, BLOCKS, SOURCE).tolist()
    wait_for(lambda: len(recorder.order()) >= len(rows) // 2 and all_sent(courier))
    assert len(recorder.order()) == len(rows) // 2
    courier.layer_ready("r", 3)
    log.shipped()
    assert [row for _, row in recorder.order()] == rows


def test_first_come_first_served(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder, LinkSpec(50e6))
    for request in ("a", "b", "c"):
        courier.ship(ship(request), "shm", SOURCE)
    assert [log.shipped().request for _ in range(3)] == ["a", "b", "c"]
    requests = [request for request, _ in recorder.order()]
    assert requests == sorted(requests)
    assert recorder.connected == 1


def test_a_tray_that_waits_for_its_layers_keeps_no_other_waiting(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder)
    courier.begin(ship("slow"), "shm", SOURCE)
    courier.layer_ready("slow", 0)
    courier.ship(ship("quick"), "shm", SOURCE)
    assert log.shipped().request == "quick"
    courier.layer_ready("slow", SHAPE.layers - 1)
    slow = log.shipped()
    assert slow.request == "slow"
    assert slow.digest == digest(recorder.pool, SOURCE)


class Switch:
    """A mark of a device, in the test's hand."""

    over = False

    def wait(self) -> None: ...


def test_a_layer_leaves_once_the_device_has_computed_it(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder)
    marks = [Switch() for _ in range(SHAPE.layers)]
    courier.begin(ship(), "shm", SOURCE)
    for layer, mark in enumerate(marks):  # all of them are given to the device long before the first is done
        courier.layer_ready("r", layer, mark)
    courier.ship(ship("quick"), "shm", SOURCE)
    assert log.shipped().request == "quick", "nothing of the first may be sent yet"
    for mark in marks[1:3]:
        mark.over = True  # no use before the one ahead of it
    rows, of_quick = 2 * len(SOURCE), len(recorder.order())
    courier.ship(ship("quick"), "shm", SOURCE)
    log.shipped()
    assert {request for request, _ in recorder.order()} == {"quick"}
    marks[0].over = True
    wait_for(lambda: len(recorder.order()) == 2 * of_quick + 3 * rows)
    marks[3].over = True
    assert log.shipped().digest == digest(recorder.pool, SOURCE)


def test_abort_does_not_wait_for_the_device(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder)
    courier.begin(ship(), "shm", SOURCE)
    courier.layer_ready("r", 0, Switch())
    courier.abort("r")
    assert recorder.pieces == []
    assert log.silent()


# ---- the right pace


@pytest.mark.parametrize("link", [LinkSpec(2e6), LinkSpec(20e6), LinkSpec(20e6, 0.05), LinkSpec(None, 0.05)])
def test_never_faster_than_the_link(link: LinkSpec, recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder, link)
    begun = time.monotonic()
    for request in ("a", "b"):
        courier.ship(ship(request), "shm", SOURCE)
    for _ in range(2):
        assert link.seconds(NBYTES) <= log.shipped().seconds <= time.monotonic() - begun


def test_waiting_for_a_layer_saves_no_bandwidth_up(
    recorder: Recorder, log: Log, start: Start, clock: SkippingClock
) -> None:
    link = LinkSpec(NBYTES / 0.2)
    courier = start(recorder, link)
    courier.begin(ship(), "shm", SOURCE)
    courier.layer_ready("r", 0)
    wait_for(lambda: len(recorder.order()) == 2 * len(SOURCE) and at_rest(courier))
    clock.skipped_s += 3600.0
    again = time.monotonic()
    courier.layer_ready("r", SHAPE.layers - 1)
    log.shipped()
    assert time.monotonic() - again >= link.seconds(NBYTES * 3 // 4)


def test_a_faster_link_shortens_the_tray_in_flight(recorder: Recorder, log: Log, start: Start) -> None:
    slow = LinkSpec(NBYTES / 60)
    courier = start(recorder, slow)
    courier.ship(ship(), "shm", SOURCE)
    log.moved()
    courier.set_link(LinkSpec(200e6))
    shipped = log.shipped()
    assert shipped.seconds < slow.seconds(NBYTES) / 2
    assert shipped.configured_bytes_per_s == 200e6


def test_a_cut_link_moves_nothing_until_it_is_restored(
    recorder: Recorder, log: Log, start: Start, clock: SkippingClock
) -> None:
    courier = start(recorder, LinkSpec(NBYTES / 10))
    courier.ship(ship(), "shm", SOURCE)
    log.moved()
    courier.set_link(LinkSpec(0))
    wait_for(lambda: at_rest(courier))
    before = len(recorder.pieces)
    clock.skipped_s += 3600.0
    courier.set_link(LinkSpec(0))  # has it look at the clock again
    wait_for(lambda: at_rest(courier))
    assert len(recorder.pieces) == before
    courier.set_link(UNPACED)
    assert log.shipped().digest == digest(recorder.pool, SOURCE)


def test_a_slower_link_splits_the_piece_that_waits(
    recorder: Recorder, log: Log, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.handoff.courier.PIECE_S", 1.5)
    courier = start(recorder, LinkSpec(NBYTES / 6))  # a quarter of the tray, in a second and a half
    courier.ship(ship(), "shm", SOURCE)
    wait_for(lambda: bool(log.of(HandoffStarted)) and at_rest(courier))
    courier.set_link(LinkSpec(10 * ROW / 1.5))
    wait_for(lambda: bool(recorder.pieces))
    assert len(recorder.pieces[0].source) == 10


def test_a_lower_latency_acts_at_once(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder, LinkSpec(None, 2 * PATIENCE_S))
    courier.ship(ship(), "shm", SOURCE)
    wait_for(lambda: bool(log.of(HandoffStarted)))
    courier.set_link(UNPACED)
    assert log.shipped().seconds < PATIENCE_S


def test_pieces_hold_a_few_milliseconds_of_bandwidth(recorder: Recorder, log: Log, start: Start) -> None:
    bandwidth = 8 * ROW / PIECE_S  # half a plane of this tray
    start(recorder, LinkSpec(bandwidth)).ship(ship(), "shm", SOURCE)
    log.shipped()
    assert {len(piece.source) for piece in recorder.pieces} == {8}


# ---- when to stop


@in_every_place
def test_after_abort_not_one_byte_is_written(
    pool: Pool, memory: tuple[Transports, Bytes], log: Log, start: Start
) -> None:
    receiver, rows = memory
    sender = Transports(pool, key=KEY)
    courier = start(sender, LinkSpec(NBYTES / 10))
    for transport in ("shm", "tcp"):
        receiver.grants.grant(transport, TARGET)
        courier.ship(ship(transport, receiver.endpoints[transport]), transport, SOURCE)
        log.moved()
        courier.abort(transport)
        rows[:] = 0
    assert log.silent()
    courier.set_link(UNPACED)  # and the next tray has the wire for itself
    receiver.grants.grant("next", ELSEWHERE)
    courier.ship(ship("next", receiver.endpoints["tcp"], ELSEWHERE), "tcp", SOURCE)
    assert log.shipped().digest == digest(receiver.pool, ELSEWHERE)
    assert not rows[tray_rows(SHAPE, BLOCKS, TARGET)].any(), "on the same stream, an aborted byte would have come first"
    sender.close()


def test_abort_of_what_has_not_begun_or_is_unknown(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder, LinkSpec(0))
    courier.ship(ship("first"), "shm", SOURCE)
    courier.ship(ship("second"), "shm", SOURCE)
    courier.begin(ship("third"), "shm", SOURCE)
    for request in ("second", "third", "third", "never heard of"):
        courier.abort(request)
    courier.layer_ready("third", 0)
    courier.set_link(UNPACED)
    assert log.shipped().request == "first"
    courier.ship(ship("second"), "shm", SOURCE)  # an aborted request may come again
    assert log.shipped().request == "second"
    assert {request for request, _ in recorder.order()} == {"first", "second"}


def test_abort_on_a_cut_link_returns(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder, LinkSpec(0))
    courier.ship(ship(), "shm", SOURCE)
    wait_for(lambda: bool(log.of(HandoffStarted)))
    courier.abort("r")
    assert recorder.pieces == []
    assert log.silent()


def test_abort_does_not_wait_for_a_connection(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder)
    with recorder.connecting:
        courier.ship(ship(), "shm", SOURCE)
        wait_for(lambda: bool(recorder.connected))
        courier.abort("r")
    courier.ship(ship("next"), "shm", SOURCE)
    assert log.shipped().request == "next"
    assert {request for request, _ in recorder.order()} == {"next"}
    assert len(log.of(HandoffStarted)) == 1


def test_abort_waits_for_what_is_being_said(recorder: Recorder, log: Log, pool: Pool) -> None:
    speaking = threading.Event()

    def report(report: Report) -> None:
        speaking.set()
        time.sleep(0.05)
        log.report(report)

    courier = Courier(recorder, UNPACED, say=log.say, report=report, clock=time.monotonic, name="prefill-0")
    courier.ship(ship(), "shm", SOURCE)
    speaking.wait(PATIENCE_S)
    courier.abort("r")
    assert not log.silent()
    courier.close()


def test_close_leaves_what_is_not_carried(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder, LinkSpec(0))
    courier.ship(ship(), "shm", SOURCE)
    courier.close()
    courier.abort("r")
    assert log.silent()


# ---- what goes wrong


@on_every_road
def test_a_receiver_that_dies_fails_its_tray_and_no_other(
    where: str, transport: str, pool: Pool, peer: Peer, log: Log, start: Start
) -> None:
    transports = Transports(pool, key=KEY, names=[transport])
    courier = start(transports, LinkSpec(NBYTES / 10))
    mortal = Peer([transport], SHAPE, BLOCKS, where)
    try:
        mortal.grant("r", TARGET)
        courier.ship(ship("r", mortal.endpoints[transport]), transport, SOURCE)
        log.moved()
        mortal.kill()
        failed = log.failed()
        assert failed.request == "r"
        assert failed.why.endswith(".")
        courier.set_link(UNPACED)
        courier.ship(ship("again", mortal.endpoints[transport]), transport, SOURCE)
        assert log.failed().request == "again"
        peer.grant("other", TARGET)
        courier.ship(ship("other", peer.endpoints[transport]), transport, SOURCE)
        assert log.shipped().digest == peer.digest(TARGET)
    finally:
        mortal.close()
        courier.close()
        transports.close()


@in_every_place
def test_a_receiver_that_refuses(pool: Pool, memory: tuple[Transports, Bytes], log: Log, start: Start) -> None:
    receiver, rows = memory
    sender = Transports(pool, key=KEY)
    courier = start(sender, LinkSpec(50e6))
    courier.ship(ship("r", receiver.endpoints["tcp"]), "tcp", SOURCE)
    assert "granted r no such blocks" in log.failed().why
    assert not rows.any()
    receiver.grants.grant("r", TARGET)
    courier.ship(ship("r", receiver.endpoints["tcp"]), "tcp", SOURCE)
    assert log.shipped().digest == digest(receiver.pool, TARGET)
    sender.close()


def test_a_path_that_failed_is_not_used_again(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder)
    recorder.broken = True
    courier.ship(ship("a"), "shm", SOURCE)
    assert log.failed() == ShipFailed("a", "The road is broken.")
    recorder.broken = False
    for request in ("b", "c"):
        courier.ship(ship(request), "shm", SOURCE)
        assert log.shipped().request == request
    assert recorder.connected == 2


def test_paths_to_a_worker_that_is_gone_are_closed(recorder: Recorder, log: Log, start: Start) -> None:
    courier = start(recorder)
    for endpoint in (b"one", b"other"):
        courier.ship(ship("r", endpoint), "shm", SOURCE)
        log.shipped()
    kept = [weakref.ref(path) for path in courier._paths.values()]
    courier.leave([b"one"])
    wait_for(lambda: [path() is None for path in kept] == [True, False])
    for endpoint, connected in ((b"other", 2), (b"one", 3)):
        courier.ship(ship("again", endpoint), "shm", SOURCE)
        log.shipped()
        assert recorder.connected == connected


def test_a_way_is_open_before_a_tray_needs_it(recorder: Recorder, log: Log, start: Start) -> None:
    told: SimpleQueue[str] = SimpleQueue()
    courier = start(recorder)
    courier.meet("shm", b"one", told.put)
    assert told.get(timeout=PATIENCE_S) == ""
    courier.ship(ship("r", b"one"), "shm", SOURCE)
    log.shipped()
    assert recorder.connected == 1


def test_a_way_that_cannot_be_opened_is_told(pool: Pool, log: Log, start: Start) -> None:
    told: SimpleQueue[str] = SimpleQueue()
    start(Transports(pool, key=KEY, names=[])).meet("tcp", b"one", told.put)
    assert "no tcp transport" in told.get(timeout=PATIENCE_S)
    assert log.silent()


def test_blocks_the_receiver_does_not_have(recorder: Recorder, log: Log, start: Start) -> None:
    start(recorder).ship(ship(blocks=(*TARGET[:-1], BLOCKS)), "shm", SOURCE)
    assert f"no block {BLOCKS}" in log.failed().why
    assert recorder.pieces == []


def test_a_transport_the_worker_has_not_opened(pool: Pool, log: Log, start: Start) -> None:
    start(Transports(pool, key=KEY, names=[])).ship(ship(), "tcp", SOURCE)
    assert "no tcp transport" in log.failed().why


def all_sent(courier: Courier) -> bool:
    """Everything that was ready has been sent."""
    with courier._changed:
        return courier._busy is None and not any(tray.waits or tray.made for tray in courier._trays)


def at_rest(courier: Courier) -> bool:
    """Its thread has nothing to send for now: it waits."""
    with courier._changed:
        return courier._busy is None and courier._choose(vars(courier_module)["time"].monotonic())[1] > 0


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.001)
