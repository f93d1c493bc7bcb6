"""The engine as a child process of the lab: `python -m engine.live.process.host FD SCENARIO TRANSPORTS [HOST:PORT]`.

It serves one run at a time, which may be changed as it runs. Workers are processes of this host, or join at HOST:PORT.
As a process of its own, it is never delayed by a busy web server.
"""

import sys
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection

import msgspec

from engine.errors import BadInput, EngineError, WorkerFailed
from engine.events import Event
from engine.link import LinkSpec
from engine.live.machine.machine import Machine, measure
from engine.live.process.channel import MAX_MESSAGE_BYTES
from engine.live.process.front import Front
from engine.live.process.run import machine, make_requests, rebased
from engine.live.process.serving import Serving
from engine.request import Request
from engine.scenario import Deployment, ModelSpec, Scenario, checked_link
from engine.units import host_and_port


class Ask(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """What the lab can ask of the host."""


class StartRun(Ask, frozen=True):
    """Run this scenario; `prompts` are the first requests' texts. Answered: `RunRefused`, or `Happened` and `Over`."""

    run: str
    scenario: Scenario
    prompts: tuple[str, ...] = ()


class StopRun(Ask, frozen=True):
    """Submit no more requests and cancel the open ones."""

    run: str


class ChangeLink(Ask, frozen=True):
    """Change the run's link, also for handoffs under way."""

    run: str
    link: LinkSpec


class CancelRequest(Ask, frozen=True):
    """End one request of the run early."""

    run: str
    request: str


class ChangeDeployment(Ask, frozen=True):
    """Other roles for the same workers, during the run; they keep their weights."""

    run: str
    deployment: Deployment


class AddRequest(Ask, frozen=True):
    """Submit one more request now, with this prompt and the run's output limit."""

    run: str
    prompt: str


class KillWorker(Ask, frozen=True):
    """Fault injection: kill a worker process."""

    run: str
    worker: str


class Examine(Ask, frozen=True):
    """Measure this machine, in place of a run, since it needs the cores: answered by `Examined` and `Over`."""

    run: str
    model: ModelSpec


class Quit(Ask, frozen=True):
    """End the engine and this process."""


class Tell(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """What the host tells the lab."""


class EngineReady(Tell, frozen=True):
    """The engine can run now, on this machine and with these transports."""

    machine: str
    transports: tuple[str, ...]
    dtype: str


class Happened(Tell, frozen=True):
    """Events of a run, on its own clock. `now_s`: that clock's time when this is sent."""

    run: str
    now_s: float
    events: tuple[Event, ...]


class Starting(Tell, frozen=True):
    """The run waits until the engine has started what it needs; `says` is one sentence."""

    run: str
    says: str


class Over(Tell, frozen=True):
    """The run has ended; nothing more comes of it."""

    run: str


class RunRefused(Tell, frozen=True):
    """The run cannot start; `why` is one sentence."""

    run: str
    why: str


class Declined(Tell, frozen=True):
    """A change to a run could not be made; the run goes on unchanged."""

    run: str
    why: str


class Examined(Tell, frozen=True):
    """The answer to `Examine`."""

    run: str
    machine: Machine


class Broken(Tell, frozen=True):
    """The engine cannot continue; the process ends after this."""

    why: str


Change = StopRun | ChangeLink | ChangeDeployment | AddRequest | CancelRequest | KillWorker
Asked = Quit | StartRun | Examine | Change
Told = EngineReady | Happened | Starting | Over | RunRefused | Declined | Examined | Broken

_asked: msgspec.msgpack.Decoder[Asked] = msgspec.msgpack.Decoder(Asked)


class Host:
    """Joins the lab to a front. A run's clock starts with the run."""

    def __init__(self, lab: "Connection[bytes, bytes]", front: Serving) -> None:
        self._lab = lab
        self._front = front
        self._encoder = msgspec.msgpack.Encoder()
        self._run = ""
        self._begun = False  # whether the engine was ready for it
        self._zero_s = 0.0
        self._coming: deque[Request] = deque()  # requests that have not arrived yet
        self._scenario = Scenario()
        self._added = 0

    def tell(self, message: Told) -> None:
        self._lab.send_bytes(self._encoder.encode(message))

    def serve(self) -> None:
        """Until the lab hangs up."""
        while True:
            while self._lab.poll(0):
                self._hear(_asked.decode(self._lab.recv_bytes(MAX_MESSAGE_BYTES)))
            if self._run and not self._begun:
                self._begin()
            self._advance()
            events = self._front.poll(self._wait_s(), also=[self._lab])
            if self._begun and events:
                self._happened(events)
            if self._begun and not self._coming and self._front.idle:
                self.tell(Over(self._run))
                self._run, self._begun = "", False

    def _now_s(self) -> float:
        return self._front.now() - self._zero_s

    def _wait_s(self) -> float:
        return max(0.0, self._coming[0].arrival_s - self._now_s()) if self._begun and self._coming else 1.0

    def _advance(self) -> None:
        while self._begun and self._coming and self._coming[0].arrival_s <= self._now_s():
            request = self._coming.popleft()
            self._front.submit(request, self._zero_s + request.arrival_s)

    def _happened(self, events: list[Event]) -> None:
        self.tell(Happened(self._run, self._now_s(), tuple(rebased(events, self._zero_s))))

    def _hear(self, ask: Asked) -> None:
        """Carry it out, or say in one sentence why not. Commands for a run that is over are ignored."""
        if isinstance(ask, Quit):
            raise EOFError("the lab has quit")
        try:
            if isinstance(ask, StartRun):
                self._start(ask)
            elif isinstance(ask, Examine):
                self._examine(ask)
            elif ask.run == self._run:
                self._change(ask)
        except BadInput as wrong:
            why = str(wrong)
            self.tell(RunRefused(ask.run, why) if isinstance(ask, StartRun | Examine) else Declined(ask.run, why))

    def _examine(self, ask: Examine) -> None:
        if self._run:
            raise BadInput("measurement", ask.run, f"asked for after {self._run}, which is not over")
        try:
            self.tell(Examined(ask.run, measure(ask.model)))
        except WorkerFailed as failed:  # in the measuring process; the engine's own workers go on
            self.tell(RunRefused(ask.run, str(failed)))
        else:
            self.tell(Over(ask.run))

    def _start(self, ask: StartRun) -> None:
        if self._run:
            raise BadInput("run", ask.run, f"started after {self._run}, which is not over")
        requests = make_requests(ask.scenario, ask.prompts)
        self._front.set_link(checked_link(ask.scenario.link))
        self._front.deploy(ask.scenario.deployment)
        self._coming = deque(requests)
        self._scenario, self._added = ask.scenario, 0
        self._run, self._begun = ask.run, False
        self._begin()

    def _begin(self) -> None:
        """Let the run begin if the engine is ready for it; else say what it waits for."""
        try:
            ready = self._front.ready
        except WorkerFailed as failed:
            self.tell(RunRefused(self._run, str(failed)))
            self._run = ""
            return
        if not ready:
            self.tell(Starting(self._run, self._front.starting))
            return
        self._front.poll(0.0)  # what happened before is not part of it
        self._begun, self._zero_s = True, self._front.now()
        self.tell(Happened(self._run, 0.0, tuple(self._front.standing())))

    def _change(self, ask: Change) -> None:
        if not self._begun and not isinstance(ask, StopRun | ChangeLink):
            raise BadInput("change", type(ask).__name__, "made once the run has begun")
        obey: dict[type, Callable[..., None]] = {
            StopRun: self._stop,
            ChangeLink: lambda change: self._front.set_link(checked_link(change.link)),
            ChangeDeployment: lambda change: self._front.deploy(change.deployment),
            AddRequest: self._add,
            CancelRequest: lambda cancel: self._front.cancel(cancel.request),
            KillWorker: lambda kill: self._front.kill(kill.worker),
        }
        obey[type(ask)](ask)

    def _add(self, add: AddRequest) -> None:
        one = msgspec.structs.replace(self._scenario.workload, requests=1, rate_per_s=None)
        (request,) = make_requests(msgspec.structs.replace(self._scenario, workload=one), [add.prompt])
        self._added += 1
        self._front.submit(msgspec.structs.replace(request, id=f"own{self._added}"))

    def _stop(self, _: Change) -> None:
        self._coming.clear()
        for request in self._front.open_requests():
            self._front.cancel(request)
        if not self._begun:
            self.tell(Over(self._run))
            self._run = ""


def main() -> None:
    """Be the host, on the channel that the lab has opened for this process."""
    lab: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    scenario = msgspec.json.decode(sys.argv[2], type=Scenario)
    transports = tuple(sys.argv[3].split(","))
    elsewhere = sys.argv[4] if len(sys.argv) > 4 else ""  # where workers join, if they are not started here
    tell = msgspec.msgpack.Encoder().encode
    try:
        listen = host_and_port("SPLIT_KITCHEN_LISTEN", elsewhere) if elsewhere else None
        with Front(scenario.deployment, scenario.link, scenario.model, transports=transports, listen=listen) as front:
            front.start()
            host = Host(lab, front)
            host.tell(EngineReady(machine(scenario.model.device, front.remarks), front.transports, front.dtype))
            host.serve()
    except EOFError:
        pass  # the lab is gone; leaving the front's block has stopped the workers
    except EngineError as broken:
        lab.send_bytes(tell(Broken(str(broken))))


if __name__ == "__main__":
    main()
