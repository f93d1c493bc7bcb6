"""The front: starts worker processes, admits remote ones, and carries messages between them and the router.

It computes nothing. `poll` waits on all channels at once. A channel that closes means that its worker died; one that
answers no more means that it hangs (`engine.live.process.seat`). Either way a new process takes its name. Only the
front logs events.
"""

import importlib.util
import secrets
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput, PolicyRefused, WorkerFailed
from engine.events import Event, Finished, LinkChanged, TokenMade, WorkerUp
from engine.link import LinkSpec
from engine.live import gpus
from engine.live.compute.optimizations import Optimizations
from engine.live.model.catalog import prepare
from engine.live.model.text import Text, TextStream
from engine.live.process.channel import MAX_MESSAGE_BYTES, boot_id
from engine.live.process.introductions import Introductions
from engine.live.process.join_server import JoinServer, shared_key
from engine.live.process.seat import EXHAUSTED, KILLED, LOOK_S, Seat, free_seat, must_be_alike, remarks, seats
from engine.messages import (
    Command,
    Corrupt,
    Gone,
    Greeting,
    Hello,
    Met,
    Ping,
    Pong,
    Ready,
    Refused,
    Report,
    Start,
    Stop,
)
from engine.own_file import route_for
from engine.own_policy import ended
from engine.request import Request
from engine.router import Output, Router, Send
from engine.scenario import Deployment, ModelSpec, one_of

DEATHS_BEFORE_READY = 3  # a worker that dies this often before it is ready is given up

_messages: msgspec.msgpack.Decoder[Report | Greeting] = msgspec.msgpack.Decoder(Report | Greeting)


class Front:
    """A running engine. Use as a context manager, so that no process outlives it.

    `transports`: those to open besides the deployment's own, so that a later deployment may use them. `listen` (host,
    port): workers are not started here but join there, with the key in SPLIT_KITCHEN_KEY. `own`: a file with a policy
    or a split, read when a deployment that uses it begins. Raises BadInput for a model or deployment that cannot run;
    `start` raises WorkerFailed if workers do not come up; `poll` raises PolicyRefused, and then the engine is over.
    """

    ready, starting = True, ""  # once `start` has returned: workers change roles without starting again

    def __init__(
        self,
        deployment: Deployment,
        link: LinkSpec,
        model: ModelSpec,
        *,
        transports: Sequence[str] = (),
        listen: tuple[str, int] | None = None,
        own: Path | None = None,
    ) -> None:
        self._own = own = own.resolve() if own else None
        self.deployment = deployment
        self.transports = tuple(dict.fromkeys((deployment.transport, *transports)))
        if "nixl" in self.transports and importlib.util.find_spec("nixl") is None:
            raise BadInput(
                "transport", "nixl", "shm or tcp, unless nixl is installed: pip install 'split-kitchen[nixl]'"
            )
        places = gpus.places_for(model.checked().device, listen)
        Optimizations.of_environment()  # the workers read it; a wrong name is refused before they start
        prepared = prepare(model, deployment.workers)
        # decided once, here: hosts that each chose their own dtype could not read each other's KV
        dtype = "bf16" if prepared.dtype == "bfloat16" else "fp32"
        self.model = msgspec.structs.replace(model, dtype=dtype, kv_blocks=prepared.kv_blocks)
        self._zero_s = time.monotonic()
        self._boot_id = boot_id()
        self._key = shared_key() if listen else secrets.token_hex(32).encode()
        self._join_server = JoinServer(listen, self._key) if listen else None
        self._policies = deployment.policies  # of the first deployment: seats are assigned by them
        self.seats = seats(deployment.workers, places, own)
        self.router = Router(deployment, [seat.name for seat in self.seats], link, route_for(deployment, own))
        self._encoder = msgspec.msgpack.Encoder()
        self._events: list[Event] = []
        self._text = Text(prepared)
        self._streams: dict[str, TextStream] = {}  # answers in progress, by request
        self._unseated: list[Connection[bytes, bytes]] = []  # joined, but without a seat yet
        self._introductions = Introductions()
        self._looked_s = time.monotonic()

    def __enter__(self) -> "Front":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> float:
        """Seconds since this engine's zero; the `t` of its events."""
        return time.monotonic() - self._zero_s

    # ---- start and stop

    def start(self) -> None:
        """Start the workers and return when all are ready. Raises WorkerFailed."""
        timeout_s = max(seat.looks_before_ready for seat in self.seats) * LOOK_S
        if self._join_server is None:
            for seat in self.seats:
                seat.start_process(self._key)
        give_up_s = time.monotonic() + timeout_s
        while missing := [seat.name for seat in self.seats if seat.ready is None or not self._introductions.made(seat)]:
            left_s = give_up_s - time.monotonic()
            if left_s <= 0:
                raise WorkerFailed(f"not ready after {timeout_s:.0f} s: {', '.join(missing)}.")
            self._pump(min(left_s, 1.0))

    def close(self) -> None:
        """Stop every worker; kills those that have not stopped within 2 s."""
        for seat in self.seats:
            if seat.channel is not None:
                self._send(seat, Stop())
        for seat in self.seats:
            seat.end(2.0)
        if self._join_server is not None:
            self._join_server.close()

    # ---- what clients do

    def standing(self) -> list[Event]:
        """The current state, as the first events of a log: which workers are up, their roles, their link."""
        link = self.router.link
        ups = [WorkerUp(0.0, seat.name, seat.ready.pid, seat.ready.blocks) for seat in self.seats if seat.ready]
        return [self.router.deployed(0.0), LinkChanged(0.0, link.bandwidth_bytes_per_s, link.latency_s), *ups]

    @property
    def dtype(self) -> str:
        """Of the KV, as a torch dtype's name. Only once the workers are ready."""
        return next(seat.ready.dtype for seat in self.seats if seat.ready is not None)

    @property
    def remarks(self) -> tuple[str, ...]:
        return remarks(self.seats, joined=self._join_server is not None)

    @property
    def idle(self) -> bool:
        return self.router.idle

    def open_requests(self) -> list[str]:
        return self.router.open_requests()

    def submit(self, request: Request, t: float | None = None) -> None:
        """Accept a request that arrived at `t`, in seconds since this engine's zero (default: now)."""
        self._apply(self.router.submit(request, self.now() if t is None else t))

    def cancel(self, request: str) -> None:
        """End a request early. Does nothing for one that has ended or is unknown."""
        self._apply(self.router.cancel(request, self.now()))

    def set_link(self, link: LinkSpec) -> None:
        """Change the link's pace and latency, also for trays in flight."""
        self._apply(self.router.set_link(link, self.now()))

    def deploy(self, deployment: Deployment) -> None:
        """Change roles without reloading a weight. Raises BadInput for other worker counts or a closed transport."""
        one_of("transport", deployment.checked().transport, self.transports)
        self.router.route = route_for(deployment, self._own)
        self._apply(self.router.deploy(deployment, self.now()))
        self.deployment = deployment
        self._introduce()

    def kill(self, worker: str) -> None:
        """Fault injection: the worker process dies at once. A new one takes its place."""
        self._seat(worker).kill()

    def corrupt(self, worker: str) -> None:
        """Fault injection: one bit of the next tray that lands at this worker flips."""
        self._send(self._seat(worker), Corrupt())

    def poll(self, timeout_s: float, also: Sequence[Any] = ()) -> list[Event]:
        """The events since the last call; waits up to `timeout_s` for one, or until something in `also` is readable."""
        give_up_s = time.monotonic() + timeout_s
        while not self._events:
            left_s = give_up_s - time.monotonic()
            if self._pump(max(0.0, left_s), also) or left_s <= 0:
                break
        events, self._events = self._events, []
        return events

    # ---- messages

    def _pump(self, timeout_s: float, also: Sequence[Any] = ()) -> bool:
        """Wait for a message, or for the next look at the workers; True if something in `also` is readable."""
        channels = {seat.channel: seat for seat in self.seats if seat.channel is not None}
        signals = [self._join_server.signal] if self._join_server is not None else []
        look_s = max(0.0, self._looked_s + LOOK_S - time.monotonic())
        readable = wait([*channels, *self._unseated, *signals, *also], min(timeout_s, look_s))
        for ready in readable:
            if ready in channels:
                self._read(channels[ready])
            elif ready in signals:
                self._admit()
            elif ready in self._unseated:
                self._assign_seat(ready)
        self._look()  # after reading: what was not read while the front itself stood still is an answer, too
        return any(ready in also for ready in readable)

    def _look(self) -> None:
        """Replace workers that hang, and ask the others for a sign of life."""
        if time.monotonic() < self._looked_s + LOOK_S:
            return
        self._looked_s = time.monotonic()
        for seat in self.seats:
            seat.unanswered += 1
            if seat.hung:
                self._lost(seat)
            elif seat.ready is not None:
                self._send(seat, Ping())

    def _read(self, seat: Seat) -> None:
        """Handle everything the worker has sent so far."""
        assert seat.channel is not None
        try:
            while True:
                self._heard(seat, _messages.decode(seat.channel.recv_bytes(MAX_MESSAGE_BYTES)))
                if not seat.channel.poll(0):
                    return
        except (EOFError, OSError, msgspec.DecodeError):
            self._lost(seat)

    def _heard(self, seat: Seat, message: Report | Greeting) -> None:
        seat.unanswered = 0
        match message:
            case Hello():
                self._greet(seat, message)
            case Refused():
                raise PolicyRefused(message.why)
            case Pong():
                if seat.ready is None:
                    self._time(seat, message.clock_s)
            case Ready():
                must_be_alike(self.seats, message)
                seat.ready, seat.deaths = message, 0
                self._apply(self.router.worker_up(seat.name, message, self.now()))
                self._introduce()
            case Met():
                self._introductions.answered(seat, message, self._seat(message.target))
            case _:
                self._apply(self.router.heard(seat.name, message, self.now()))

    def _apply(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._send(self._seat(output.worker), output.command)
            else:
                self._log(output)

    def _send(self, seat: Seat, command: Command) -> None:
        seat.send(self._encoder.encode(command))

    def _log(self, event: Event) -> None:
        """Log the event. A token gets its text here, since only the front sees whole answers."""
        if isinstance(event, TokenMade):
            stream = self._streams.setdefault(event.request, self._text.stream())
            event = msgspec.structs.replace(event, text=stream.add(event.token))
        elif isinstance(event, Finished):
            self._streams.pop(event.request, None)
        self._events.append(event)

    def _seat(self, name: str) -> Seat:
        for seat in self.seats:
            if seat.name == name:
                return seat
        raise BadInput("worker", name, "one of " + ", ".join(seat.name for seat in self.seats))

    def _introduce(self) -> None:
        for seat, meet in self._introductions.due(self.seats, self.deployment):
            self._send(seat, meet)

    # ---- processes

    def _lost(self, seat: Seat) -> None:
        """Its worker died, or hangs: replace it, and have its orders start again elsewhere."""
        why, killed = seat.hung or seat.ending(), seat.killed
        was_ready = seat.vacate()
        self._introductions.forget(seat)
        if was_ready is not None and self._own is not None and self.deployment.own_policy and not killed:
            raise ended(self._own.name, seat.name, why)
        seat.deaths += was_ready is None
        if seat.deaths >= DEATHS_BEFORE_READY:
            blame = "its own messages say why" if why != KILLED else "Linux does that when memory runs out"
            raise WorkerFailed(f"{seat.name} died {seat.deaths} times before it was ready: {why}; {blame}.")
        if was_ready is not None:
            for other in self.seats:  # before a new one is started, which may want that memory
                self._send(other, Gone(tuple(was_ready.endpoints.values())))
            self._apply(self.router.worker_down(seat.name, why, self.now(), exhausted=why == EXHAUSTED))
        if self._join_server is None:
            seat.start_process(self._key)

    def _greet(self, seat: Seat, hello: Hello) -> None:
        """Agree on a clock: a worker on this host shares ours; one on another host is asked a few times."""
        if hello.boot_id == self._boot_id:
            self._start(seat, 0.0)
        else:
            self._ping(seat)

    def _ping(self, seat: Seat) -> None:
        seat.asked_s = time.monotonic()
        self._send(seat, Ping())

    def _time(self, seat: Seat, clock_s: float) -> None:
        if (offset_s := seat.timed(clock_s)) is None:
            self._ping(seat)
        else:
            self._start(seat, offset_s)

    def _start(self, seat: Seat, clock_offset_s: float) -> None:
        # a remote worker runs on any core of its host; so does one that only keeps a GPU busy
        core = seat.core if seat.process is not None and seat.place == "cpu" else -1
        zero_s = self._zero_s + clock_offset_s
        self._send(seat, Start(seat.name, self.model, zero_s, self.transports, core, seat.place, seat.memory_bytes))

    # ---- workers of other hosts

    def _admit(self) -> None:
        assert self._join_server is not None
        self._join_server.signal.recv_bytes()
        self._unseated.append(self._join_server.joined.get())

    def _assign_seat(self, newcomer: "Connection[bytes, bytes]") -> None:
        """Give a worker that has joined a free seat of the role it asks for; without one, hang up."""
        self._unseated.remove(newcomer)
        try:
            hello = _messages.decode(newcomer.recv_bytes(MAX_MESSAGE_BYTES))
        except (EOFError, OSError, msgspec.DecodeError):
            newcomer.close()
            return
        seat = free_seat(self.seats, self._policies, hello.role) if isinstance(hello, Hello) else None
        if seat is None:
            newcomer.close()
            return
        seat.take(newcomer)
        self._heard(seat, hello)
