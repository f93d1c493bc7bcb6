"""Who works on which request, across workers; and how a request survives when a worker does not.

It has no clock, socket or process: it takes what workers report and returns what to send and what to log. The live
engine and the simulator both drive this class.

An order's life (its *holders* are the workers that keep something of it):

    queued ──► prefilling ──────────────────────────► decoding ──► done        co-located, chunked: one holder
    queued ──► prefilling ──► reserving ──► shipping ──► decoding ──► done     disaggregated, whole trays
    queued ──► reserving ──► prefilling ──► shipping ──► decoding ──► done     disaggregated, layers as they are made

An order can be *recalled* at any stage: its holders drop it one after the other, and when the last one confirms, it is
queued again with the tokens it has (or ends, if it was cancelled). The sender is told first, so nothing is written
into blocks that now belong to another request. Channels are ordered, so nothing stale can arrive after `Dropped`.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from engine.errors import BadInput
from engine.events import (
    Arrived,
    Deployed,
    Dispatched,
    Event,
    Finished,
    HandoffAccepted,
    HandoffEnded,
    HandoffOffered,
    LinkChanged,
    Recalled,
    StepStarted,
    TokenMade,
    WorkerDown,
    WorkerUp,
)
from engine.link import LinkSpec
from engine.loads import Load, Loads
from engine.messages import (
    Admit,
    Command,
    Compared,
    Configure,
    Drop,
    Dropped,
    Prefill,
    Prefilled,
    Ready,
    Report,
    Reserve,
    Reserved,
    Said,
    SetLink,
    Ship,
    ShipFailed,
    Shipped,
)
from engine.order import Order
from engine.request import Request
from engine.roster import Roster
from engine.routing import LeastLoaded, Route
from engine.scenario import BLOCK_TOKENS, Deployment


class Send(msgspec.Struct, frozen=True):
    """A command for a worker."""

    worker: str
    command: Command


Output = Event | Send


HANDOFF_TRIES = 5  # a tray that fails this often does not fail by chance
EXHAUSTED_WORKERS = 3


class Router:
    """`workers` are names, in the order in which a deployment assigns roles; `route` chooses among them, and may be
    replaced while nothing is open."""

    def __init__(
        self, deployment: Deployment, workers: Sequence[str], link: LinkSpec, route: Route | None = None
    ) -> None:
        self.deployment = deployment
        self.link = link
        self.roster = Roster(workers, deployment)
        self.orders: dict[str, Order] = {}  # open ones, and done ones that a worker still holds
        self._queue: deque[Order] = deque()
        self.route = route or LeastLoaded()
        self._loads = Loads(workers)
        self._last_steps: dict[str, StepStarted] = {}  # by worker
        self._next: Deployment | None = None
        self._accepted = 0

    @property
    def idle(self) -> bool:
        """Nothing is open, and no worker holds anything."""
        return not self.orders

    def open_requests(self) -> list[str]:
        """Requests that have been accepted and have not ended."""
        return [order.request.id for order in self._active()]

    # ---- called for clients

    def submit(self, request: Request, t: float) -> list[Output]:
        """Accept a request, which will then end in some way. Raises BadInput if it could never be served."""
        if request.id in self.orders:
            raise BadInput("request id", request.id, "that of no other open request")
        order = Order(self._accepted, request)
        self._must_fit(order)
        self.orders[request.id] = order
        self._accepted += 1
        self._queue.append(order)
        arrived = Arrived(t, request.id, len(request.prompt_ids), request.max_output_tokens, request.prompt)
        return [arrived, *self._dispatch(t)]

    def cancel(self, request: str, t: float) -> list[Output]:
        """End a request early. Does nothing for one that has ended or is unknown."""
        order = self.orders.get(request)
        if order is None or order.stage == "done":
            return []
        order.ending = "cancelled"
        return self._recall(order, "cancelled", t)

    def set_link(self, link: LinkSpec, t: float) -> list[Output]:
        """Change every worker's link."""
        self.link = link
        changed = LinkChanged(t, link.bandwidth_bytes_per_s, link.latency_s)
        return [changed, *(Send(name, SetLink(link)) for name in self.roster.up)]

    def deploy(self, deployment: Deployment, t: float) -> list[Output]:
        """Change roles once every order that has a token has ended; orders without one are recalled at once."""
        if deployment.workers != len(self.roster.roles):
            raise BadInput("workers", deployment.workers, f"{len(self.roster.roles)}, as many as are running")
        self._next = deployment
        out: list[Output] = []
        for order in self._active():
            if order.stage != "queued" and not order.output_ids:
                out += self._recall(order, f"the deployment becomes {deployment.kind}", t)
        return [*out, *self._switch_if_drained(t)]

    # ---- one worker's role, while the others keep theirs

    @property
    def loads(self) -> Mapping[str, Load]:
        """Every worker's load, by name."""
        return self._loads.of

    def expect(self, worker: str, policy: str) -> None:
        """Announce a new worker and its role, before it is up."""
        self.roster.expect(worker, policy)
        self._loads.join(worker)

    def drained(self, worker: str) -> bool:
        """Whether no order needs or occupies the worker."""
        return all(worker not in order.holders for order in self.orders.values())

    def assign(self, worker: str, policy: str, t: float) -> list[Output]:
        """Give a drained worker another role; it takes orders again."""
        assert self.drained(worker), f"{worker} is needed as it is"
        self.roster.assign(worker, policy)
        return [self.deployed(t), Send(worker, self._configure(worker)), *self._resume(t)]

    # ---- called for workers

    def worker_up(self, worker: str, ready: Ready, t: float) -> list[Output]:
        """A worker is ready: configure it, and continue what waited for one."""
        self.roster.came(worker, ready)
        up = WorkerUp(t, worker, ready.pid, ready.blocks)
        return [up, Send(worker, SetLink(self.link)), Send(worker, self._configure(worker)), *self._resume(t)]

    def _resume(self, t: float) -> list[Output]:
        """Continue what waited for a worker."""
        out: list[Output] = []
        for order in self._active():
            if order.stage == "reserving" and not order.target:  # prefilled while no decode worker was up
                out += self._prefilled(order, t)
        return [*out, *self._dispatch(t)]

    def worker_down(self, worker: str, why: str, t: float, *, exhausted: bool = False) -> list[Output]:
        """The worker is gone with all it held. Its orders start again elsewhere, with the tokens they have.

        `exhausted`: it ran out of memory. An order may do that to every worker, so one that was in the last step of
        EXHAUSTED_WORKERS of them ends as "failed".
        """
        self.roster.went(worker)
        last = self._last_steps.pop(worker, None)
        blamed = {piece.request for piece in last.plan} if last and exhausted else set()
        out: list[Output] = [WorkerDown(t, worker, why)]
        for order in list(self.orders.values()):
            if worker not in order.holders:
                continue
            lost = order.stage in ("prefilling", "reserving", "shipping")
            lost = lost or (order.stage == "decoding" and worker == (order.target or order.source))
            out += self._dropped(order, worker, t)
            if lost:
                order.exhausted += order.request.id in blamed
                if order.exhausted >= EXHAUSTED_WORKERS:
                    order.ending = "failed"
                out += self._recall(order, f"{worker} is down ({why})", t)
        return [*out, *self._dispatch(t)]

    def heard(self, worker: str, report: Report, t: float) -> list[Output]:
        """Handle one report of a worker; reports must come in the order in which they were sent."""
        if isinstance(report, Said):
            return [out for event in report.events for out in self.noted(worker, event)]
        if isinstance(report, Ready):
            return self.worker_up(worker, report, t)
        order = self.orders[report.request]
        if isinstance(report, Dropped):
            return self._dropped(order, worker, t)
        if order.stage in ("recalled", "done"):
            return []  # sent before the worker received `Drop`
        match report:
            case Prefilled():
                return self._prefilled(order, t)
            case Reserved():
                return self._reserved(order, report.blocks, t)
            case Shipped():
                order.tray = report
                return self._admit_if_landed(order)
            case ShipFailed():
                return self._handoff_failed(order, report.why, t)
            case Compared():
                return self._compared(order, report.verified, t)
            case _:
                assert_never(report)

    def noted(self, worker: str, event: Event) -> list[Output]:
        """Log a worker's event as it is, unless it concerns an order that has been recalled meanwhile."""
        if not isinstance(event, (TokenMade, Finished)):
            if isinstance(event, StepStarted):
                self._last_steps[worker] = event
            return [event]
        order = self.orders[event.request]
        if order.stage in ("recalled", "done"):
            return []
        if isinstance(event, Finished):
            _learn(order, event.output_tokens)
            return [event, *self._end(order, worker, event.t)]
        _learn(order, event.index)
        self._loads.forget(order)
        order.output_ids.append(event.token)
        if order.stage == "prefilling" and self.roster.roles[worker] != "prefill_only":
            order.stage = "decoding"
        self._book(order)
        return [event]

    def progress(self, worker: str, tokens: int) -> None:
        """Requests that decode at `worker` have made `tokens` more tokens, all together, of which no event tells.

        Only the load knows of them; the next event of each request, or `learn`, says which of them are its own.
        """
        self._loads.made(worker, tokens)

    def learn(self, request: str, tokens: int) -> None:
        """The request has made so many tokens; the values of those that no event told of do not matter."""
        _learn(self.orders[request], tokens)

    # ---- an order's way

    def _dispatch(self, t: float) -> list[Output]:
        """Assign queued orders to workers that are up, in order, until one has to wait."""
        out: list[Output] = []
        while self._queue and self._next is None:
            order = self._queue[0]
            source, target = self._source_and_target(order)
            if source is None or target is None:
                break
            self._queue.popleft()
            order.source, order.target = source, target
            order.prefill_tokens = order.tokens
            out.append(Dispatched(t, order.request.id, source))
            if target:
                out += self._offer(order, t)
            else:
                order.stage = "prefilling"
                self._book(order)
                out.append(Send(source, Prefill(order.request, tuple(order.output_ids))))
        return out

    def _source_and_target(self, order: Order) -> tuple[str | None, str | None]:
        """The worker that prefills, and the one that decodes if it is another and known by now; None: none is up."""
        d = self.deployment
        if d.kind != "disaggregated":
            return self._choose(order, next(iter(self.roster.roles.values()))), ""  # all have the same role
        if d.conditional:
            here, others = self._choose(order, d.decode_policy), self.roster.choosable("prefill_only")
            if here and self.route.stays(order, here, others, self._loads.of, d.local_prefill_tokens):
                return here, ""
        return self._choose(order, "prefill_only"), self._choose(order, d.decode_policy) if d.ship == "layers" else ""

    def _prefilled(self, order: Order, t: float) -> list[Output]:
        if self.deployment.ship == "layers":
            order.stage = "shipping"
            self._book(order)
            return self._admit_if_landed(order)
        order.stage = "reserving"
        order.target = self._choose(order, self.deployment.decode_policy) or ""
        return self._offer(order, t) if order.target else []

    def _offer(self, order: Order, t: float) -> list[Output]:
        order.stage = "reserving"
        self._book(order)
        offer = HandoffOffered(t, order.request.id, order.source, order.target, self._tray_bytes(order))
        return [offer, Send(order.target, Reserve(order.request.id, order.worst_tokens))]

    def _reserved(self, order: Order, blocks: tuple[int, ...], t: float) -> list[Output]:
        accepted = HandoffAccepted(t, order.request.id, order.source, order.target)
        endpoint = self.roster.up[order.target].endpoints[self.deployment.transport]
        tray_blocks = blocks[: self._tray_blocks(order)]
        ship = Ship(order.request.id, order.target, endpoint, tray_blocks)
        if self.deployment.ship == "layers":
            order.stage = "prefilling"
            self._book(order)
            return [accepted, Send(order.source, Prefill(order.request, tuple(order.output_ids), ship))]
        order.stage = "shipping"
        self._book(order)
        return [accepted, Send(order.source, ship)]

    def _admit_if_landed(self, order: Order) -> list[Output]:
        """The last layer may land before the sender reports the sampled token; wait for both."""
        if order.tray is None or order.stage != "shipping":
            return []
        admit = Admit(order.request, tuple(order.output_ids), order.tray.nbytes, order.tray.digest)
        return [Send(order.target, admit)]

    def _compared(self, order: Order, verified: bool, t: float) -> list[Output]:
        tray = order.tray
        assert tray is not None
        ended = HandoffEnded(
            t,
            order.request.id,
            order.source,
            order.target,
            tray.nbytes,
            tray.seconds,
            tray.nbytes / tray.seconds,
            tray.configured_bytes_per_s,
            verified,
        )
        if not verified:
            return [ended, *self._handoff_failed(order, "the checksum does not match", t)]
        order.stage = "decoding"
        self._book(order)
        return [ended, *self._ask_to_drop(order, order.source)]

    def _handoff_failed(self, order: Order, why: str, t: float) -> list[Output]:
        """Start again; after HANDOFF_TRIES failures the request ends as "failed"."""
        order.failed_handoffs += 1
        if order.failed_handoffs >= HANDOFF_TRIES:
            order.ending = "failed"
        return self._recall(order, why, t)

    def _end(self, order: Order, worker: str, t: float) -> list[Output]:
        """Done. Another worker that still holds part of it, such as an unused reservation, is told to drop it."""
        order.stage = "done"
        if worker == (order.target or order.source):
            order.let_go(worker)
        self._book(order)
        return [*self._release(order, t), *self._switch_if_drained(t)]

    # ---- recalling

    def _recall(self, order: Order, why: str, t: float) -> list[Output]:
        if order.stage == "recalled":
            return []
        out: list[Output] = [Recalled(t, order.request.id, why)]
        if order.stage == "queued":
            self._queue.remove(order)
        order.stage = "recalled"
        self._book(order)
        return [*out, *self._release(order, t)]

    def _release(self, order: Order, t: float) -> list[Output]:
        """Have one holder after the other drop it; a recalled order without holders is queued again, or ends."""
        if order.holders:
            return self._ask_to_drop(order, order.holders[0])
        if order.stage == "done":
            self.orders.pop(order.request.id, None)
        if order.stage != "recalled":
            return []
        order.tray = None
        if order.end:  # its worker may have died after the last token, before it reported the end
            end = Finished(t, order.request.id, order.end, len(order.output_ids))
            return [end, *self._end(order, "", t)]
        order.stage = "queued"
        self._queue.append(order)
        self._queue = deque(sorted(self._queue, key=lambda queued: queued.number))
        return [*self._switch_if_drained(t), *self._dispatch(t)]

    def _ask_to_drop(self, order: Order, worker: str) -> list[Output]:
        """Ask once: each `Drop` has one `Dropped`, so no answer can be mistaken for that to a later `Drop`."""
        if worker in order.asked:
            return []
        order.asked.add(worker)
        return [Send(worker, Drop(order.request.id))]

    def _dropped(self, order: Order, worker: str, t: float) -> list[Output]:
        order.let_go(worker)
        self._book(order)
        return self._release(order, t) if order.stage in ("recalled", "done") else []

    # ---- roles

    def _switch_if_drained(self, t: float) -> list[Output]:
        if self._next is None or any(order.stage != "queued" for order in self._active()):
            return []
        self.deployment, self._next = self._next, None
        self.roster.deal(self.deployment)
        configures = [Send(name, self._configure(name)) for name in self.roster.up]
        return [self.deployed(t), *configures, *self._dispatch(t)]

    def deployed(self, t: float) -> Deployed:
        """The present roles as an event."""
        return Deployed(t, self.deployment.kind, tuple(self.roster.roles.items()), self.deployment.transport)

    def _configure(self, worker: str) -> Configure:
        d = self.deployment
        return Configure(self.roster.roles[worker], d.chunk, d.transport, d.ship, d.first_token == "prefill")

    def _active(self) -> list[Order]:
        return [order for order in self.orders.values() if order.stage != "done"]

    def _choose(self, order: Order, policy: str) -> str | None:
        """A worker of that role that is up, if there is one."""
        names = self.roster.choosable(policy)
        return self.route.choose(order, names, self._loads.of) if names else None

    def _book(self, order: Order) -> None:
        """Update the loads. Call after every change of the order's stage, workers or tokens."""
        self._loads.book(order, order.source != "" and self.roster.roles[order.source] == "prefill_only")

    # ---- sizes

    def _tray_blocks(self, order: Order) -> int:
        return -(-order.prefill_tokens // BLOCK_TOKENS)

    def _tray_bytes(self, order: Order) -> int:
        ready = self.roster.up[order.source]
        return self._tray_blocks(order) * ready.block_tokens * ready.kv_bytes_per_token

    def _must_fit(self, order: Order) -> None:
        if order.worst_tokens > self.roster.most_tokens:
            limit = f"at most {self.roster.most_tokens:,}, what the KV pool and the model's context hold"
            raise BadInput("prompt plus output tokens", order.worst_tokens, limit)


def _learn(order: Order, tokens: int) -> None:
    if (missing := tokens - len(order.output_ids)) > 0:
        order.output_ids += [0] * missing
