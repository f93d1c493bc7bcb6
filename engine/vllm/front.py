"""A front with vLLM behind it: what a host and a run ask of an engine, on servers that are started here.

Another deployment means other servers, and those take a minute to start: `ready` says when. What happens inside comes
as raw lines from the plugin's files; they are folded a moment later than they are written, so that the lines of all
processes are in order.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle
from multiprocessing.connection import Pipe, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from engine.client.split import healthy
from engine.errors import BadInput, WorkerFailed
from engine.events import Event, Finished, LinkChanged
from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.live.model.text import Text, TextStream
from engine.request import Request
from engine.scenario import Deployment, ModelSpec
from engine.vllm import road
from engine.vllm.fold import Fold
from engine.vllm.launch import Running, free_ports, last_words, usable
from engine.vllm.possible import possible, possible_link
from engine.vllm.raw import SAID_BY_CLIENT, Asked, GivenUp, HookBroke, LinesDropped, Missing, Paced, Raw, Unanswered, Up
from engine.vllm.sender import Sender
from engine.vllm.servers import servers
from engine.vllm.tail import Tail
from engine.vllm.translate import by_time, standing
from engine.vllm.weights import link_model

LAG_S = 0.2  # by which a line may be late in its file
TICK_S = 0.05
ABOUT = (Missing, HookBroke, LinesDropped)  # lines about the plugin itself


class VllmFront:
    """Use as a context manager. `python`: the interpreter of an environment with vLLM. `paced`: put the servers into a
    network namespace, where their link has a pace. Raises BadInput for what cannot run."""

    remarks: tuple[str, ...] = ()

    def __init__(self, deployment: Deployment, link: LinkSpec, model: ModelSpec, *, python: str, paced: bool) -> None:
        if model.checked().device != "cpu":
            raise BadInput("device", model.device, "left out with vLLM, which chooses its own")
        self._python = usable(python, split=deployment.kind == "disaggregated")
        self._unpaced_because = road.refused() if paced else "it was started without a pace"
        self._prepared = prepare(model)
        self._text = Text(self._prepared)
        self._zero_s = time.monotonic()
        self.deployment, self._link = possible(deployment), possible_link(link, self._unpaced_because)
        self.about: list[Raw] = []  # lines about the plugin itself: what it missed or dropped
        self._ending = ExitStack()  # of the servers that run
        self._running: Running | None = None
        self._failed: WorkerFailed | None = None  # why there are none
        self._sender: Sender | None = None
        self._engines: dict[str, Up] = {}
        self._told: SimpleQueue[Raw] = SimpleQueue()  # by the client
        self._said: list[Event] = []
        self._wake, self._waker = Pipe(duplex=False)
        self._runs = 0
        self._begin()

    def __enter__(self) -> "VllmFront":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the servers."""
        self._running = self._sender = None
        self._engines = {}
        self._ending.close()

    def now(self) -> float:
        """Seconds since this front's zero; the `t` of its events."""
        return time.monotonic() - self._zero_s

    # ---- servers

    def start(self) -> None:
        """Start the servers; `ready` says when they answer."""
        self.close()
        self._failed = None
        folder = Path(self._ending.enter_context(tempfile.TemporaryDirectory(prefix="split-kitchen-vllm-")))
        link_model(self._prepared, folder / "model")
        ports, cores = free_ports(self.deployment.workers), tuple(sorted(os.sched_getaffinity(0)))
        paced = not self._unpaced_because
        asked = servers(self.deployment, self._prepared, self._python, folder / "model", ports, cores, paced=paced)
        rate = self._link.bandwidth_bytes_per_s
        self._running = Running(asked, folder, healthy, paced=paced, bytes_per_s=rate)
        self._ending.callback(self._running.close)
        self._sender = Sender({server.name: server.socket for server in asked}, self._tell)
        self._ending.callback(self._sender.close)
        self._prefill = cycle([server.name for server in asked if server.role == "prefill"] or [""])
        self._decode = cycle([server.name for server in asked if server.role != "prefill"])
        self._tail = Tail(folder)

    @property
    def ready(self) -> bool:
        """Whether requests can be submitted. Raises WorkerFailed if the servers do not start."""
        if self._running is None and self._failed is not None:
            raise self._failed
        if self._running is None or self._engines:
            return bool(self._engines)
        try:
            if self._running.up():
                self._meet(self._running)
        except WorkerFailed as failed:
            self._lost(failed)
            raise
        return bool(self._engines)

    def _meet(self, running: Running) -> None:
        """Read what the engines say of themselves."""
        engines = {line.w: line for line in self._tail.fresh() if self._noted(line) and isinstance(line, Up)}
        if len(engines) < len(running.servers):
            raise WorkerFailed("vLLM runs, but the plugin inside it is silent: VLLM_PLUGINS may leave it out.")
        self._engines = {server.name: engines[server.name] for server in running.servers}
        self._begin()

    @property
    def starting(self) -> str:
        """What it is doing while it is not ready, as a sentence."""
        since_s = self._running.since_s if self._running else 0.0
        return f"vLLM is starting {self.deployment.workers} servers, {since_s:.0f} s so far; it takes about a minute."

    @property
    def version(self) -> str:
        """vLLM's; "" until it is ready."""
        return next((up.vllm for up in self._engines.values()), "")

    @property
    def dtype(self) -> str:
        """Of the weights and the KV, as a torch dtype's name."""
        return self._prepared.dtype

    def deploy(self, deployment: Deployment) -> None:
        """The deployment for what is submitted from now on. Raises BadInput for one that vLLM cannot have, or while
        requests are open: vLLM's servers keep their roles."""
        wanted = possible(deployment)
        same = _servers_of(wanted) == _servers_of(self.deployment)
        if self._open and not same:
            raise BadInput("deployment", wanted.kind, "kept while requests are open: vLLM would have to start again")
        self.deployment = wanted
        if self._running is None or not same or not self._running.answers():
            self.start()
        elif not self._open and self._engines:
            self._begin()

    def set_link(self, link: LinkSpec) -> None:
        """Change the link's pace, also for handoffs under way. Raises BadInput where that is not possible."""
        self._link = possible_link(link, self._unpaced_because)
        if self._running is not None and not self._unpaced_because:
            try:
                self._running.pace(link.bandwidth_bytes_per_s)
            except WorkerFailed as failed:
                self._lost(failed)
        self._tell(Paced(t=time.monotonic(), w=SAID_BY_CLIENT, rate=link.bandwidth_bytes_per_s))

    # ---- requests

    @property
    def idle(self) -> bool:
        return not self._open

    def open_requests(self) -> list[str]:
        return sorted(self._open)

    def standing(self) -> list[Event]:
        """The current state, as the first events of a log. Only once it is ready."""
        link = LinkChanged(0.0, self._link.bandwidth_bytes_per_s, 0.0)
        return [*standing(self._engines, self.deployment.kind), link]

    def submit(self, request: Request, t: float | None = None) -> None:
        """Send a request, which arrived at `t` (default: now), to the servers that are next. Only once it is ready."""
        prefill, decode = next(self._prefill), next(self._decode)
        asked = Asked(
            t=time.monotonic() if t is None else self._zero_s + t,
            w=SAID_BY_CLIENT,
            r=self._mark + request.id,
            prompt=len(request.prompt_ids),
            most=request.max_output_tokens,
            text=request.prompt,
            at=prefill or decode,
        )
        self._open.add(request.id)
        self._tell(asked)
        if self._sender is None:
            why = "vLLM's servers have ended."
            self._tell(Unanswered(t=time.monotonic(), w=SAID_BY_CLIENT, r=asked.r, why=why))
        else:
            self._sender.send(msgspec.structs.replace(request, id=asked.r), prefill, decode)

    def cancel(self, request: str) -> None:
        """End a request early. Does nothing for one that has ended or is unknown."""
        if request in self._open:
            self._tell(GivenUp(t=time.monotonic(), w=SAID_BY_CLIENT, r=self._mark + request))
            if self._sender is not None:
                self._sender.cancel(self._mark + request)

    def kill(self, worker: str) -> None:
        """Raises BadInput: a server that was killed is not replaced in the middle of a run."""
        raise BadInput("worker", worker, "left alive with vLLM: starting one again would take a minute")

    # ---- events

    def poll(self, timeout_s: float, also: Sequence[Any] = ()) -> list[Event]:
        """The events since the last call; waits up to `timeout_s` for one, or until something in `also` is readable."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            self._pump()
            left_s = give_up_s - time.monotonic()
            if self._said or left_s <= 0:
                break
            watched = [self._running.channel] if self._running is not None else []
            readable = wait([self._wake, *watched, *also], min(left_s, TICK_S))
            if any(ready in also for ready in readable):
                break
        said = self._said
        self._said = []
        return said

    def _begin(self) -> None:
        """Another run, whose requests have names of their own: what is left of an older one is not mistaken for it."""
        self._runs += 1
        self._mark = f"run{self._runs}-"
        self._since_s = time.monotonic()
        self._lines: list[Raw] = []  # that are still to be folded
        self._said = []
        self._open: set[str] = set()
        self._streams: dict[str, TextStream] = {}
        paced = self._link.bandwidth_bytes_per_s
        self._fold = Fold(self._engines, self._zero_s, self._text_of, mark=self._mark, paced=paced)

    def _text_of(self, request: str, _: int, token: int) -> str:
        return self._streams.setdefault(request, self._text.stream()).add(token)

    def _tell(self, line: Raw) -> None:
        """From any thread."""
        self._told.put(line)
        self._waker.send_bytes(b"")

    def _noted(self, line: Raw) -> bool:
        if isinstance(line, ABOUT):
            self.about.append(line)
        return True

    def _pump(self) -> None:
        """Fold the lines whose time has come."""
        while self._wake.poll(0):
            self._wake.recv_bytes()
            self._lines.append(self._told.get())
        if self._running is not None:
            try:
                self._running.look()
            except WorkerFailed as failed:
                self._lost(failed)
        if self._running is not None and self._engines:
            self._lines += [line for line in self._tail.fresh() if self._noted(line)]
        until_s = time.monotonic() - LAG_S
        due = sorted((line for line in self._lines if line.t <= until_s), key=by_time)
        self._lines = [line for line in self._lines if line.t > until_s]
        for line in due:
            if line.t >= self._since_s or line.w == SAID_BY_CLIENT:
                self._fold.read(line)
        for event in self._fold.take():
            self._said.append(event)
            if isinstance(event, Finished):
                self._open.discard(event.request)
                self._streams.pop(event.request, None)

    def _lost(self, why: WorkerFailed) -> None:
        """Servers have ended: so do the open requests. The next deployment starts others."""
        self._failed = why
        self._lines += [
            Unanswered(t=time.monotonic(), w=SAID_BY_CLIENT, r=self._mark + request, why=str(why))
            for request in self._open
        ]
        self.close()

    def words(self) -> list[str]:
        """The last words of each server that runs."""
        if self._running is None:
            return []
        return [f"{server.name}: {last_words(self._running.folder, server.name)}" for server in self._running.servers]


def _servers_of(deployment: Deployment) -> tuple[object, ...]:
    """What distinguishes one deployment's servers from another's."""
    split = deployment.kind == "disaggregated"
    chunk = deployment.chunk if deployment.kind == "chunked" else 0
    return deployment.kind, deployment.workers, deployment.prefill_workers if split else 0, chunk
