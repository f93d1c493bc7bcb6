"""A tray on its way, as its courier keeps account of it."""

from collections import deque

from engine.live.compute.kv import Pool, Rows, row_numbers
from engine.live.compute.place import Mark
from engine.live.handoff.checksum import checksum
from engine.live.handoff.transport import Path
from engine.messages import Ship


class Tray:
    """The first `ready` of its rows may be sent, the first `sent` have been."""

    def __init__(self, ship: Ship, transport: str, pool: Pool, blocks: tuple[int, ...]) -> None:
        self.ship = ship
        self.transport = transport
        self.source = row_numbers(2 * pool.shape.layers, pool.blocks, blocks)
        self.target: Rows = self.source[:0]  # until it has started
        self.rows_per_layer = 2 * len(blocks)
        self.nbytes = pool.shape.tray_bytes(len(blocks))
        self.ready = 0
        self.sent = 0
        self.next = 0  # rows of the next piece
        self.since_s = 0.0  # since when there has been something to send
        self.started_s = 0.0
        self.told_s = 0.0
        self.path: Path | None = None  # until it has started
        self.aborted = False
        self.made: deque[tuple[Mark, int]] = deque()  # how many rows are ready once a mark is over
        self.checksum = checksum(pool)

    @property
    def waits(self) -> bool:
        return self.sent < self.ready

    def has_ready(self, rows: int, now: float) -> None:
        if not self.waits:
            self.since_s = now
        self.ready = rows

    def look(self, now: float) -> None:
        """Ask the device what it has computed since."""
        while self.made and self.made[0][0].over:
            self.has_ready(self.made.popleft()[1], now)

    def due_s(self, latency_s: float) -> float:
        """When the wire may begin to carry what is ready. The latency counts once, before the first byte."""
        return max(self.since_s, self.started_s + latency_s) if self.path else self.since_s
