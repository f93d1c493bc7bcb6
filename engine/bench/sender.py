"""A sender of handoffs, in its own process and on its own core, like a worker.

It makes handoffs on request and, in turn with them, the copies and bare NIXL writes that they are compared with.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import msgspec
import numpy as np

from engine.bench.bare_nixl import BareNixl
from engine.bench.peers.talk import answer
from engine.bench.receiver import KEY
from engine.errors import TransportFailed
from engine.link import LinkSpec
from engine.live.compute.kv import KvPool
from engine.live.handoff.checksum import digest
from engine.live.handoff.courier import Courier
from engine.live.handoff.transports import Transports
from engine.live.model.shape import KvShape
from engine.messages import Report, Ship, Shipped


class Sender:
    """A courier and the pool that it sends from; `endpoints`: of a receiver with the same number of blocks."""

    def __init__(self, shape: KvShape, blocks: int, endpoints: dict[str, bytes]) -> None:
        self._endpoints = endpoints
        self._pool = pool = KvPool.create(shape, blocks)
        pool.tensor.fill_(1)
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._shipped = 0
        self._courier = Courier(
            Transports(pool, key=KEY, names=list(endpoints)),
            LinkSpec(),
            say=lambda event: None,
            report=self._reports.put,
            clock=time.monotonic,
            name="sender",
        )
        self._memcpy = Memcpy(pool)
        self._bare = BareNixl(pool, endpoints["nixl"]) if "nixl" in endpoints else None
        for transport in endpoints:  # warm up: map the pages and open the paths
            self.ship(transport, range(blocks), range(blocks))

    def acts(self) -> dict[str, Callable[..., float]]:
        """What the bench can ask for, by name."""
        acts: dict[str, Callable[..., float]] = {
            "pace": self.pace,
            "ship": self.ship,
            "sum": self.sum_s,
            "copy": self._memcpy.seconds,
        }
        if self._bare:
            acts["bare"] = self._bare.seconds
        return acts

    def pace(self, bytes_per_s: float) -> float:
        """Set the link's bandwidth for the next handoffs."""
        self._courier.set_link(LinkSpec(bytes_per_s))
        return bytes_per_s

    def ship(self, transport: str, source: Sequence[int], target: Sequence[int]) -> float:
        """Seconds of one handoff, from its first byte to the arrival of its last, the sender's checksum included.

        Raises TransportFailed.
        """
        self._shipped += 1
        ship = Ship(f"tray-{self._shipped}", "receiver", self._endpoints[transport], tuple(target))
        self._courier.ship(ship, transport, tuple(source))
        report = self._reports.get()
        if not isinstance(report, Shipped):
            raise TransportFailed(f"A handoff was lost: {report}.")
        return report.seconds

    def sum_s(self, blocks: Sequence[int]) -> float:
        """Seconds for only the checksum of these blocks."""
        begun_s = time.perf_counter()
        digest(self._pool, blocks)
        return time.perf_counter() - begun_s


class Memcpy:
    """One copy between two pools, from a different place each time: caches help it no more than handoffs."""

    def __init__(self, pool: KvPool) -> None:
        self._other = KvPool.create(pool.shape, pool.blocks)
        self._other.tensor.fill_(1)
        self._from, self._to = (np.frombuffer(each.memory, np.uint8) for each in (pool, self._other))
        self._order = random.Random(1)

    def seconds(self, nbytes: int) -> float:
        """Seconds for one copy of `nbytes`."""
        a, b = (self._order.randrange(len(self._from) - nbytes) for _ in range(2))
        source, target = self._from[a : a + nbytes], self._to[b : b + nbytes]
        begun_s = time.perf_counter()
        np.copyto(target, source)
        return time.perf_counter() - begun_s


def main(told: str) -> None:
    """Answer requests on stdin. `told`: JSON of shape, blocks, and the receiver's endpoints."""
    shape, blocks, endpoints = msgspec.json.decode(told, type=tuple[KvShape, int, dict[str, bytes]])
    answer(lambda: Sender(shape, blocks, endpoints).acts())


if __name__ == "__main__":
    main(*sys.argv[1:])
