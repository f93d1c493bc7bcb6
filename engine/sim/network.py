"""The links between workers in simulated time, and how handoffs share their bandwidth.

Every worker sends over its own link (`LinkSpec`). "fifo" is what the live engine does: each sender makes one handoff at
a time, in order, and receivers are unlimited. "fair" is what networks do: all handoffs at once, with max-min fair
shares of each sender's link, each receiver's link, and the fabric that they all cross.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import msgspec

from engine.link import LinkSpec
from engine.sim.clock import PS_PER_S, Alarm, Clock, ps

FABRIC = "fabric"
Sharing = Literal["fifo", "fair"]
SHARINGS: tuple[Sharing, ...] = get_args(Sharing)


class NetworkSpec(msgspec.Struct, frozen=True):
    """`shared_bytes_per_s`: bandwidth of the fabric that all handoffs cross (None: unlimited). `host_bytes_per_s`: the
    most that a worker can send, however fast its link is. `handshake_s`: once per pair of workers. `descriptor_s`: the
    time to post one descriptor before the first byte leaves; a block has `descriptors_per_block` (layers × 2, say).
    """

    sharing: Sharing = "fifo"
    shared_bytes_per_s: float | None = None
    host_bytes_per_s: float | None = None
    handshake_s: float = 0.0
    descriptor_s: float = 0.0
    descriptors_per_block: int = 1


class Flow:
    """One handoff's transfer. The last `last_bytes` (of the last layer) exist only from `not_before_ps` on."""

    def __init__(
        self,
        source: str,
        target: str,
        nbytes: int,
        blocks: int,
        started: Callable[[], None],
        landed: Callable[[float], None],
        not_before_ps: int = 0,
        last_bytes: float = 0.0,
        request: str = "",
    ) -> None:
        self.source = source
        self.target = target
        self.nbytes = nbytes
        self.blocks = blocks
        self.started = started
        self.landed = landed
        self.not_before_ps = not_before_ps
        self.last_bytes = last_bytes
        self.request = request
        self.left = float(nbytes)
        self.rate = 0.0
        self.since_ps = 0
        self.over = False


class Network:
    """All transfers under way, their rates, and when each one ends. `link`: every sender's own.

    `pick`: of those that wait behind a sender's transfer ("fifo"), which one is next; None: the first.
    """

    def __init__(self, clock: Clock, link: LinkSpec, spec: NetworkSpec) -> None:
        self.link = link
        self.spec = spec
        self.pick: Callable[[Sequence[Flow]], Flow] | None = None
        self._clock = clock
        self._queues: dict[str, deque[Flow]] = {}  # fifo: each sender's current transfer and those behind it
        self._flowing: list[Flow] = []
        self._settled_ps = 0
        self._alarm: Alarm | None = None
        self._met: set[tuple[str, str]] = set()

    # ---- what workers do

    def send(self, flow: Flow) -> None:
        """Start the transfer, or queue it behind the sender's earlier ones ("fifo")."""
        if self.spec.sharing == "fair":
            self._start(flow)
            return
        queue = self._queues.setdefault(flow.source, deque())
        queue.append(flow)
        if len(queue) == 1:
            self._start(flow)

    def abort(self, flow: Flow) -> None:
        """Stop the transfer: no more bytes move, and none of its callbacks is called again."""
        flow.over = True
        queue = self._queues.get(flow.source, deque())
        first = bool(queue) and queue[0] is flow
        if flow in queue:
            queue.remove(flow)
        if flow in self._flowing:
            self._settle()
            self._flowing.remove(flow)
            self._share()
        if first and queue:
            self._start(queue[0])

    def carried(self, flow: Flow) -> int:
        """How many of its bytes have arrived by now."""
        self._settle()
        return flow.nbytes - max(0, round(flow.left))

    def change(self, link: LinkSpec) -> None:
        """Change every sender's link from now on, also for transfers under way."""
        self._settle()
        self.link = link
        self._share()

    # ---- one transfer, from start to end

    def _start(self, flow: Flow) -> None:
        flow.since_ps = self._clock.ps
        flow.started()
        before_s = self.link.latency_s + self.spec.descriptor_s * self.spec.descriptors_per_block * flow.blocks
        if (flow.source, flow.target) not in self._met:
            self._met.add((flow.source, flow.target))
            before_s += self.spec.handshake_s
        if before_s:
            self._clock.alarm(ps(before_s), lambda _: self._flow(flow))
        else:
            self._flow(flow)

    def _flow(self, flow: Flow) -> None:
        if not flow.over:
            self._settle()
            self._flowing.append(flow)
            self._share()

    def _land(self, flow: Flow) -> None:
        """All bytes that exist have crossed; those of the last layer may still have to be computed."""
        last_ps = flow.not_before_ps + (ps(flow.last_bytes / flow.rate) if math.isfinite(flow.rate) else 0)
        wait_ps = last_ps - self._clock.ps
        if flow.not_before_ps and wait_ps > 0:
            self._clock.alarm(wait_ps, lambda _: self._done(flow))
        else:
            self._done(flow)

    def _done(self, flow: Flow) -> None:
        if flow.over:
            return
        flow.over = True
        try:
            if self.spec.sharing == "fifo":
                self._next(self._queues[flow.source])
        finally:  # it has landed, even if whoever picks the next one has to be asked first, and raises
            flow.landed((self._clock.ps - flow.since_ps) / PS_PER_S)

    def _next(self, queue: deque[Flow]) -> None:
        queue.popleft()
        if not queue:
            return
        if self.pick is not None:
            chosen = self.pick(queue)
            queue.remove(chosen)
            queue.appendleft(chosen)
        self._start(queue[0])

    # ---- bandwidth shares

    def _settle(self) -> None:
        """Account for what has crossed since the rates were last set."""
        passed_s = (self._clock.ps - self._settled_ps) / PS_PER_S
        self._settled_ps = self._clock.ps
        for flow in self._flowing:
            flow.left = 0.0 if flow.rate == math.inf else flow.left - flow.rate * passed_s

    def _share(self) -> None:
        """Recompute all rates, and set an alarm for the first transfer to end."""
        self._max_min()
        first_ps = math.inf
        for flow in self._flowing:
            if flow.rate:
                left_s = 0.0 if flow.rate == math.inf else max(0.0, flow.left / flow.rate)
                first_ps = min(first_ps, math.ceil(left_s * PS_PER_S))
        self._alarm = self._clock.alarm(int(first_ps), self._ring) if first_ps < math.inf else None

    def _ring(self, alarm: Alarm) -> None:
        if alarm is not self._alarm:
            return
        self._settle()
        through = [flow for flow in self._flowing if flow.rate == math.inf or flow.left <= flow.rate / PS_PER_S]
        for flow in through:
            self._flowing.remove(flow)
        self._share()
        for flow in through:
            self._land(flow)

    def _max_min(self) -> None:
        """Progressive filling: the narrowest place divides itself among the flows that cross it; repeat with the rest.

        Source: Bertsekas and Gallager, Data Networks, 6.5.2.
        """
        room, crossing = self._places()
        while crossing:
            narrowest = min(crossing, key=lambda place: room[place] / len(crossing[place]))
            share = room[narrowest] / len(crossing[narrowest])
            for flow in list(crossing[narrowest]):
                flow.rate = share
                for place in self._crossed(flow):
                    del crossing[place][flow]
                    room[place] -= share if room[place] < math.inf else 0.0
            crossing = {place: flows for place, flows in crossing.items() if flows}

    def _places(self) -> tuple[dict[str, float], dict[str, dict[Flow, None]]]:
        """The bandwidth in bytes/s of every place in use, and the flows that cross it, in order."""
        link, host = self.link.bandwidth_bytes_per_s, self.spec.host_bytes_per_s
        own = min((limit for limit in (link, host) if limit is not None), default=math.inf)
        shared = math.inf if self.spec.shared_bytes_per_s is None else self.spec.shared_bytes_per_s
        room: dict[str, float] = {}
        crossing: dict[str, dict[Flow, None]] = {}
        for flow in self._flowing:
            for place in self._crossed(flow):
                room[place] = shared if place == FABRIC else own
                crossing.setdefault(place, {})[flow] = None
        return room, crossing

    def _crossed(self, flow: Flow) -> tuple[str, ...]:
        if self.spec.sharing == "fifo":
            return f"{flow.source}>", FABRIC
        return f"{flow.source}>", f">{flow.target}", FABRIC
