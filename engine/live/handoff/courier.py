"""Ships trays to other workers at the link's pace, on a thread beside the computation.

Each worker has one wire, and trays go first come, first served. While a tray whose layers are still being computed has
nothing to send, the next one uses the wire, so no bandwidth is lost to the order.

The thread shares its interpreter with the computation. So it makes few and large copies, all in calls that release
the interpreter's lock. After a delay, everything the wire could have carried in the meantime goes at once.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Thread
from typing import NamedTuple

from engine.errors import TransportFailed
from engine.events import Event, HandoffMoved, HandoffStarted
from engine.link import LinkSpec, Wire
from engine.live.compute.kv import pool_rows, row_numbers
from engine.live.compute.place import Mark
from engine.live.handoff.transport import Path, Segment
from engine.live.handoff.transports import Transports
from engine.live.handoff.tray import Tray
from engine.messages import Report, Ship, ShipFailed, Shipped

PIECE_S = 0.004  # a piece is so much of the bandwidth: a change of the link takes effect within that time
LOOK_S = 0.0003  # how often a device is asked whether it has computed another layer
HOUR_S = 3600.0  # the longest wait; a change of a cut link ends it sooner


class Meeting(NamedTuple):
    """A way to open; `told` hears why that failed, or ""."""

    transport: str
    endpoint: bytes
    told: Callable[[str], None]


class Courier:
    """`say` and `report` are called on the courier's thread. `clock` stamps events; pacing has its own clock."""

    def __init__(
        self,
        transports: Transports,
        link: LinkSpec,
        *,
        say: Callable[[Event], None],
        report: Callable[[Report], None],
        clock: Callable[[], float],
        name: str,
    ) -> None:
        self._transports = transports
        self._pool = transports.pool
        self._say = say
        self._report = report
        self._clock = clock
        self._name = name
        self._memory = pool_rows(transports.pool)
        self._row_bytes = transports.pool.shape.row_bytes
        self._paths: dict[tuple[str, bytes], Path] = {}

        # everything below is guarded by this
        self._changed = Condition()
        self._wire = Wire(link, time.monotonic())
        self._idle = True  # nothing is waiting; an idle wire earns no credit
        self._trays: list[Tray] = []  # first come, first served
        self._busy: Tray | None = None  # what the thread works on without holding the lock
        self._meetings: deque[Meeting] = deque()
        self._gone: set[bytes] = set()  # endpoints of workers that have ended
        self._closed = False

        self._thread = Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    # ---- called by the worker

    def ship(self, ship: Ship, transport: str, blocks: tuple[int, ...]) -> None:
        """Send the whole tray that lies in `blocks` of this worker's pool."""
        self._begin(ship, transport, blocks, layers=self._pool.shape.layers)

    def begin(self, ship: Ship, transport: str, blocks: tuple[int, ...]) -> None:
        """Send the tray that is being computed into `blocks`, each layer as soon as it is ready."""
        self._begin(ship, transport, blocks, layers=0)

    def layer_ready(self, request: str, layer: int, mark: Mark | None = None) -> None:
        """The KV of this and all earlier layers is final, once `mark` is over. Ignored if the tray has been aborted."""
        with self._changed:
            if tray := self._find(request):
                rows = (layer + 1) * tray.rows_per_layer
                if mark is None:
                    tray.has_ready(rows, time.monotonic())
                else:
                    tray.made.append((mark, rows))
                self._changed.notify_all()

    def set_link(self, link: LinkSpec) -> None:
        """Change the pace at once, also for the tray in flight. On a cut link trays wait."""
        with self._changed:
            self._wire.change(link, time.monotonic())
            self._changed.notify_all()

    def abort(self, request: str) -> None:
        """When this returns, nothing more of the tray is written, said or reported."""
        with self._changed:
            tray = self._find(request)
            if tray:
                tray.aborted = True
                if tray.path is None:
                    self._trays.remove(tray)  # nothing has been sent, and connecting may take long
                self._changed.notify_all()
            self._changed.wait_for(lambda: tray not in self._trays and not self._is_at(request))

    def meet(self, transport: str, endpoint: bytes, told: Callable[[str], None]) -> None:
        """Open the way there soon, before a tray pays for it; `told`, on the courier's thread, hears why it failed."""
        with self._changed:
            self._meetings.append(Meeting(transport, endpoint, told))
            self._changed.notify_all()

    def leave(self, endpoints: Iterable[bytes]) -> None:
        """Close the paths to a worker that has ended, soon: an open one keeps its memory. A tray on its way fails."""
        with self._changed:
            self._gone.update(endpoints)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop; trays that have not been sent stay unsent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _begin(self, ship: Ship, transport: str, blocks: tuple[int, ...], layers: int) -> None:
        assert len(blocks) == len(ship.blocks) > 0, "a tray has the same number of blocks on both sides"
        tray = Tray(ship, transport, self._pool, blocks)
        tray.ready = layers * tray.rows_per_layer
        with self._changed:
            assert self._find(ship.request) is None, f"{ship.request} is under way already"
            self._trays.append(tray)
            self._changed.notify_all()

    def _find(self, request: str) -> Tray | None:
        return next((tray for tray in self._trays if tray.ship.request == request), None)

    def _is_at(self, request: str) -> bool:
        return self._busy is not None and self._busy.path is not None and self._busy.ship.request == request

    # ---- the thread

    def _run(self) -> None:
        self._pool.place.enter(side=True)
        while self._take_turn():
            pass
        for transport, endpoint in list(self._paths):
            self._drop(transport, endpoint)

    def _take_turn(self) -> bool:
        """Advance one tray; False: closed. Between turns nothing holds on to a tray, nor to its path's memory."""
        tray = self._next()
        if tray is None:
            return False
        if isinstance(tray, Meeting):
            self._open(tray)
            return True
        try:
            self._advance(tray)
        except TransportFailed as failure:
            self._drop(tray.transport, tray.ship.endpoint)
            if self._forget(tray):
                self._report(ShipFailed(tray.ship.request, str(failure)))
        return True

    def _open(self, meeting: Meeting) -> None:
        try:
            self._connect(meeting.transport, meeting.endpoint)
        except TransportFailed as failure:
            meeting.told(str(failure))
        else:
            meeting.told("")

    def _next(self) -> Tray | Meeting | None:
        """Wait for a tray to advance, or a way to open; None: closed."""
        with self._changed:
            self._busy = None
            self._changed.notify_all()
            while not self._closed:
                self._drop_gone()
                if self._meetings:
                    return self._meetings.popleft()
                tray, wait_s = self._choose(time.monotonic())
                if tray and not wait_s:
                    self._busy = tray
                    return tray
                self._changed.wait(min(wait_s, HOUR_S))
            self._trays.clear()
            self._changed.notify_all()
            return None

    def _choose(self, now: float) -> tuple[Tray | None, float]:
        """The tray to advance next, if any, and in how many seconds."""
        for tray in self._trays:
            if tray.aborted:
                return tray, 0.0
            tray.look(now)
        first = next((tray for tray in self._trays if tray.waits), None)
        if first is not None:
            due_s = first.due_s(self._wire.spec.latency_s)
            if due_s <= now:
                return first, self._carried_in_s(first, due_s, now)
        self._idle = True
        if any(tray.made for tray in self._trays):
            return None, LOOK_S
        # during its latency the wire belongs to that tray: another's time would be counted from too early
        return None, due_s - now if first is not None else math.inf

    def _carried_in_s(self, tray: Tray, due_s: float, now: float) -> float:
        if tray.path is None:
            return 0.0
        if self._idle:
            self._wire.open(due_s)
            self._idle = False
        tray.next = self._next_rows(tray)
        return self._wire.ready_s(tray.next * self._row_bytes, now)

    def _next_rows(self, tray: Tray) -> int:
        """How many rows the next piece has. Unpaced: all that are ready; `_write` stops after PIECE_S."""
        ready, paced = tray.ready - tray.sent, self._wire.spec.bandwidth_bytes_per_s
        if paced is None:
            return ready
        assert tray.path is not None
        return min(ready, max(1, min(tray.path.paced_bytes, int(paced * PIECE_S)) // self._row_bytes))

    def _advance(self, tray: Tray) -> None:
        if tray.aborted:
            if tray.path:
                tray.path.flush()
            self._forget(tray)
        elif tray.path is None:
            self._start(tray)
        else:
            self._write(tray, tray.path)

    def _start(self, tray: Tray) -> None:
        ship = tray.ship
        path = self._connect(tray.transport, ship.endpoint)
        if max(ship.blocks) >= path.blocks:
            raise TransportFailed(f"{ship.target} has {path.blocks} blocks, so there is no block {max(ship.blocks)}.")
        with self._changed:
            if tray.aborted:
                return
            tray.path = path
            tray.target = row_numbers(2 * self._pool.shape.layers, path.blocks, ship.blocks)
            tray.started_s = tray.told_s = time.monotonic()
            self._idle = True  # its bytes count from here, whatever the wire carried before
            configured = self._wire.spec.bandwidth_bytes_per_s
        self._say(
            HandoffStarted(
                t=self._clock(),
                request=ship.request,
                source=self._name,
                target=ship.target,
                nbytes=tray.nbytes,
                transport=tray.transport,
                configured_bytes_per_s=configured,
            )
        )

    def _write(self, tray: Tray, path: Path) -> None:
        """Send the next piece, or as much of it as a slow transport takes in PIECE_S."""
        until_s = time.monotonic() + PIECE_S
        first, end = tray.sent, tray.sent + tray.next
        most = max(1, path.piece_bytes // self._row_bytes)
        while first < end and time.monotonic() < until_s:
            rows = slice(first, min(end, first + most))
            path.write(Segment(tray.ship.request, self._memory, tray.source[rows], tray.target[rows]), tray.checksum)
            first = rows.stop
        with self._changed:
            self._wire.carried((first - tray.sent) * self._row_bytes, time.monotonic())
            tray.sent = first
        if tray.sent == len(tray.source):
            self._finish(tray, path)
        elif time.monotonic() - tray.told_s >= path.told_every_s:
            self._tell_moved(tray, path)

    def _finish(self, tray: Tray, path: Path) -> None:
        seconds = self._tell_moved(tray, path) - tray.started_s
        if self._forget(tray):
            configured = self._wire.spec.bandwidth_bytes_per_s
            self._report(Shipped(tray.ship.request, tray.nbytes, seconds, configured, tray.checksum.hexdigest()))

    def _tell_moved(self, tray: Tray, path: Path) -> float:
        """Wait until all bytes sent have landed, say so, and return when that was."""
        path.flush()
        tray.told_s = time.monotonic()
        self._say(
            HandoffMoved(
                t=self._clock(),
                request=tray.ship.request,
                source=self._name,
                target=tray.ship.target,
                bytes_done=tray.sent * self._row_bytes,
            )
        )
        return tray.told_s

    def _forget(self, tray: Tray) -> bool:
        """Take the tray off the list; False if it was aborted, so nothing may be reported."""
        with self._changed:
            if tray in self._trays:
                self._trays.remove(tray)
            return not tray.aborted

    def _connect(self, transport: str, endpoint: bytes) -> Path:
        """Paths are kept: only the first tray to a worker connects."""
        path = self._paths.get((transport, endpoint))
        if path is None:
            path = self._paths[transport, endpoint] = self._transports.connect(transport, endpoint)
        return path

    def _drop_gone(self) -> None:
        gone, self._gone = self._gone, set()
        for transport, endpoint in list(self._paths):
            if endpoint in gone:
                self._drop(transport, endpoint)

    def _drop(self, transport: str, endpoint: bytes) -> None:
        if path := self._paths.pop((transport, endpoint), None):
            path.close()
