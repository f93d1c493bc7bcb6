"""Router and workers in simulated time: the counterpart of `engine.live.process.front` and its worker processes.

Messages take no time. Every event goes into the record, in the order in which it is reported.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile

from engine.events import BlocksFreed, Finished, LinkChanged, StepEnded, StepStarted, TokenMade, WorkerUp
from engine.link import LinkSpec
from engine.messages import Message, Prefilled
from engine.policy import Policy
from engine.request import Request
from engine.router import Output as Routed, Router, Send
from engine.routing import LeastLoaded, Route
from engine.scenario import Deployment
from engine.sim.clock import Alarm, Clock
from engine.sim.leap import Happening, Leapt
from engine.sim.network import Network, NetworkSpec
from engine.sim.prefixes import PrefixCaches
from engine.sim.station import Station, WorkerSpec
from engine.worker import Output

TOLD = frozenset((TokenMade, Finished))  # what they tell the router
RECORDED = frozenset((StepStarted, StepEnded, BlocksFreed))  # what does not concern the router


class Cluster:
    """`workers`: each worker's spec by name, in the order in which the deployment assigns roles.

    Events go to `write` in the order in which they are reported or, without it, into `record`. `watched`: also report
    the progress of handoffs (`HandoffMoved`), which a display needs and no metric does. `leaping`: take several decode
    steps at once while nothing changes. `own`: by worker, a policy in place of the one that its role names.
    """

    def __init__(
        self,
        deployment: Deployment,
        link: LinkSpec,
        workers: Mapping[str, WorkerSpec],
        *,
        network: NetworkSpec | None = None,
        route: Route | None = None,
        leaping: bool = True,
        watched: bool = False,
        seed: int = 0,
        write: Callable[[Happening], object] | None = None,
        prefixes: PrefixCaches | None = None,
        own: Mapping[str, Policy] | None = None,
    ) -> None:
        self.own = own or {}
        self.clock = Clock()
        self.leaping = leaping
        self.watched = watched
        self.seed = seed
        self.record: list[Happening] = []
        self.write = write or self.record.append
        self._coming: deque[Request] = deque()  # in a closed loop: what its users will ask next
        self._users = 0
        self.network = Network(self.clock, link, network or NetworkSpec())
        self.prefixes = prefixes
        self._all_came = False
        self._seen: list[tuple[float, int, int]] = []  # of every request: arrival, prompt and output tokens
        self.router = Router(deployment, list(workers), link, route or LeastLoaded())
        self.stations = {name: Station(self, name, spec) for name, spec in workers.items()}
        self.write(self.router.deployed(0.0))
        self.write(LinkChanged(0.0, link.bandwidth_bytes_per_s, link.latency_s))
        for name, station in self.stations.items():
            ready = station.ready()
            self.write(WorkerUp(0.0, name, ready.pid, ready.blocks))
            ups = self.router.worker_up(name, ready, 0.0)
            self.apply(send for send in ups if isinstance(send, Send))

    # ---- workers that come, go and change roles

    def join(self, name: str, spec: WorkerSpec, policy: str) -> None:
        """Add a worker, ready at once, with this policy."""
        station = self.stations[name] = Station(self, name, spec)
        self.router.expect(name, policy)
        self._tell_progress()
        self.apply(self.router.worker_up(name, station.ready(), self.clock.s))
        self.write(self.router.deployed(self.clock.s))

    def leave(self, name: str) -> None:
        """Remove a worker. Its requests, if any, are rescheduled as after a failure."""
        self._tell_progress()
        self.stations[name].stop()
        del self.stations[name]
        if self.prefixes:
            self.prefixes.forget(name)
        self.apply(self.router.worker_down(name, "retired", self.clock.s))

    def assign(self, name: str, policy: str) -> None:
        """Give a worker another policy, and so another role."""
        self._tell_progress()
        self.apply(self.router.assign(name, policy, self.clock.s))

    @property
    def over(self) -> bool:
        """Whether all requests have arrived and finished."""
        return self._all_came and self.router.idle

    def arrived(self, since_s: float) -> list[tuple[int, int]]:
        """Prompt and output tokens of the requests that arrived at or after `since_s`."""
        newest = takewhile(lambda seen: seen[0] >= since_s, reversed(self._seen))
        return [(prompt, output) for _, prompt, output in newest]

    # ---- requests

    def run(self, requests: Sequence[Request], users: int = 0) -> None:
        """Serve the requests, given in order of arrival, until the last one has finished.

        `users`: if above 0, a closed loop of so many users, each of whom waits for an answer before the next request.
        """
        self._all_came = False
        self._coming = deque(requests)
        self._users = users
        if users:
            for _ in range(min(users, len(requests))):
                self._next_of_user()
        else:
            self._arrive()
        self.clock.run()
        assert self.router.idle, "requests are left that nobody serves"

    def _next_of_user(self) -> None:
        self._all_came = not self._coming
        if self._coming:
            request = self._coming.popleft()
            self.clock.alarm(0, lambda _: self.submit(request))

    def _arrive(self, _: Alarm | None = None) -> None:
        """Everybody whose time it is arrives, and an alarm is set for the next one."""
        coming, clock = self._coming, self.clock
        while coming:
            wait_ps = clock.at(coming[0].arrival_s) - clock.ps
            if wait_ps > 0:
                clock.alarm(wait_ps, self._arrive)
                return
            self.submit(coming.popleft())
        self._all_came = True

    def submit(self, request: Request) -> None:
        """A request arrives now."""
        if self._decode_worker_at_once():
            self._tell_progress()
        self._seen.append((self.clock.s, len(request.prompt_ids), request.max_output_tokens))
        self.apply(self.router.submit(request, self.clock.s))

    def cached(self, request: Request, worker: str) -> int:
        """How many tokens of the prompt `worker` already has; it keeps the whole prompt from now on."""
        return self.prefixes.take(request, worker) if self.prefixes else 0

    def landed(self, request: Request, worker: str) -> None:
        """The prompt's KV has arrived at `worker` in a handoff."""
        if self.prefixes:
            self.prefixes.keep(request, worker)

    # ---- messages

    def heard(self, worker: str, outputs: Iterable[Output]) -> None:
        """A worker's outputs, in order. Steps and blocks do not concern the router: they are only recorded."""
        for output in outputs:
            kind = type(output)
            if kind in RECORDED:
                self.write(output)  # type: ignore[arg-type]  # an event, and not a report
            elif kind in TOLD:
                self.apply(self.router.noted(worker, output))  # type: ignore[arg-type]  # likewise
            elif isinstance(output, Message):
                if isinstance(output, Prefilled):  # a decode worker may be chosen
                    self._tell_progress()
                self.apply(self.router.heard(worker, output, self.clock.s))
            else:
                self.write(output)

    def leapt(self, leap: Leapt, told: int) -> None:
        """A worker took several steps at once; the router already knows of the first `told` of them."""
        self.write(leap)
        if jobs := leap.batch.jobs:
            self.router.progress(leap.worker, (leap.ends.steps - told) * len(jobs))

    def apply(self, outputs: Iterable[Routed]) -> None:
        """Deliver the router's commands to their workers, and record its events."""
        for output in outputs:
            if isinstance(output, Send):
                self.stations[output.worker].command(output.command)
            else:
                self.write(output)
                if self._users and type(output) is Finished:
                    self._next_of_user()

    def _decode_worker_at_once(self) -> bool:
        deployment = self.router.deployment
        return deployment.kind != "disaggregated" or deployment.ship == "layers"

    def _tell_progress(self) -> None:
        """Called before any decision that depends on load."""
        now = self.clock.ps
        for station in self.stations.values():
            station.tell_progress(now)
