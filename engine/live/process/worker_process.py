"""One worker process: `python -m engine.live.process.worker_process FD [POLICY_FILE]` on this host,
or joined over TCP by `split-kitchen worker`.

Three threads. The main one computes: it carries out commands between steps, runs a step, reports the results. One
reads the channel to the front; when that closes, the process ends at once, so none is ever orphaned. One is the courier
that ships trays. All messages go through one lock, so the front receives them in order.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from engine.blocks import BlockPool
from engine.errors import BadInput, PolicyRefused
from engine.events import Event
from engine.link import LinkSpec
from engine.live.process.channel import Channel, boot_id
from engine.live.process.join_server import KEY_VARIABLE
from engine.live.process.seat import OUT_OF_MEMORY
from engine.messages import (
    Admit,
    Command,
    Compared,
    Configure,
    Corrupt,
    Drop,
    Gone,
    Hello,
    Meet,
    Met,
    Ping,
    Pong,
    Prefill,
    Ready,
    Refused,
    Report,
    Reserve,
    Reserved,
    Said,
    SetLink,
    Ship,
    Start,
    Stop,
)
from engine.own_file import OwnFile
from engine.own_limits import may_end
from engine.plan import Plan
from engine.policy import Policy
from engine.scenario import OWN
from engine.worker import Output, Worker

NICENESS = 10  # the front and the lab go first: they need little CPU, and their delays would count as serving time. But
# a GPU that waits for its next work is idle.


def serve(
    connection: "Connection[bytes, bytes]",
    *,
    role: str = "any",
    host: str = "127.0.0.1",
    key: bytes,
    own: Path | None = None,
) -> None:
    """Be a worker until the front hangs up. Others reach this one at `host` and must know `key`.

    `own`: the file with a policy of the caller's own, if a deployment has one. No message can name another.
    """
    channel = Channel(connection)
    channel.send(Hello(boot_id(), os.getpid(), role))
    while not isinstance(command := channel.receive(), Start):
        if isinstance(command, Ping):
            channel.send(Pong(time.monotonic()))
    pin_to(command.core, NICENESS if command.place == "cpu" else 0)
    threading.excepthook = _end_with_thread
    try:
        _work(channel, command, host, key, own)
    except (MemoryError, RuntimeError) as failed:
        from torch import OutOfMemoryError  # loaded by now: of a GPU, where MemoryError is the host's

        if not isinstance(failed, MemoryError | OutOfMemoryError):
            raise
        said = (str(failed).splitlines() or ["no memory is left"])[0]
        sys.stderr.write(f"{command.name} on {command.place} ends, as what it computes does not fit: {said}\n")
        sys.stderr.flush()
        os._exit(OUT_OF_MEMORY)


def _work(channel: Channel, start: Start, host: str, key: bytes, own: Path | None) -> None:
    process = WorkerProcess(channel, start, host, key, own)
    threading.Thread(target=_listen, args=(channel, process.hear), daemon=True).start()
    try:
        process.run()
    except (PolicyRefused, BadInput) as wrong:
        channel.send(Refused(str(wrong)))


def pin_to(core: int, niceness: int = NICENESS) -> None:
    """Run on one core (-1: any) with one compute thread, at a lower priority than the front by `niceness`."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    os.nice(niceness)
    sys.setswitchinterval(0.0005)  # the courier shares this interpreter; with the usual 5 ms it would miss its pace


def _listen(channel: Channel, hear: Callable[[Command], None]) -> None:
    while True:
        try:
            command = channel.receive()
        except (EOFError, OSError):
            os._exit(0)  # the front is gone: every thread must end with it
        if isinstance(command, Stop):
            os._exit(0)
        hear(command)


def _end_with_thread(failed: threading.ExceptHookArgs) -> None:
    """A worker that has lost a thread is of no use; once dead, it is noticed and replaced."""
    sys.__excepthook__(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    os._exit(1)


class WorkerProcess:
    """A Worker's scheduler joined to what computes and ships: model, KV pool, courier and transports."""

    def __init__(self, channel: Channel, start: Start, host: str, key: bytes, own: Path | None) -> None:
        # torch is imported here, after the process is pinned to its core and has greeted the front
        import torch

        from engine.live.compute.kv import pool_on
        from engine.live.compute.optimizations import Optimizations
        from engine.live.compute.place import is_device
        from engine.live.compute.places import place
        from engine.live.compute.runner import Runner
        from engine.live.compute.weights import served
        from engine.live.handoff.checksum import digest
        from engine.live.handoff.courier import Courier
        from engine.live.handoff.transports import Transports
        from engine.live.model.catalog import prepare

        torch.set_num_threads(1)
        self._channel = channel
        self._inbox: SimpleQueue[Command] = SimpleQueue()
        self._zero_s = start.zero_s
        self._prepared = prepare(start.model)
        self._place = place(start.place)
        self._place.enter()
        if start.memory_bytes and is_device(self._place):
            self._place.keep_within(start.memory_bytes)
        self._pool = pool_on(self._place, self._prepared.kv_shape, self._prepared.kv_blocks)
        self._digest = digest
        self._worker = Worker(start.name, BlockPool(self._pool.blocks, self._prepared.kv_shape.block_tokens))
        optimizations = Optimizations.of_environment()
        self._runner = Runner(served(self._prepared, optimizations, self._place), self._pool, optimizations)
        self._transports = Transports(self._pool, key=key, names=start.transports, host=host)
        self._courier = Courier(
            self._transports,
            LinkSpec(),
            say=lambda event: channel.send(Said((event,))),
            report=channel.send,
            clock=self._now,
            name=start.name,
        )
        self._transport = start.transports[0]
        self._layered: dict[str, Ship] = {}  # requests whose layers are shipped as they are computed
        self._corrupt_next = False
        self._own = own

    def run(self) -> None:
        """Until the process ends."""
        self._runner.warm_up()
        self._digest(self._pool, (0,))  # a GPU loads a kernel when it is first used: no tray should wait for that
        self._channel.send(
            Ready(
                pid=os.getpid(),
                blocks=self._pool.blocks,
                block_tokens=self._prepared.kv_shape.block_tokens,
                kv_bytes_per_token=self._prepared.kv_shape.bytes_per_token,
                context_tokens=self._prepared.context_tokens,
                dtype=self._prepared.dtype,
                endpoints=self._transports.endpoints,
                remarks=self._runner.remarks,
            )
        )
        while True:
            cpu_s = time.process_time()
            plan, said = self._worker.plan(self._now())
            self._say(said)
            if plan:
                self._step(plan, cpu_s)
            self._obey_all(wait=not plan)

    def hear(self, command: Command) -> None:
        """Called on the listening thread: what concerns only the courier must not wait for the end of a long step."""
        match command:
            case Ship():
                blocks = self._worker.blocks_of(command.request)[: len(command.blocks)]
                self._courier.ship(command, self._transport, blocks)
            case SetLink():
                self._courier.set_link(command.link)
            case Meet():
                told = partial(Met, command.target, command.endpoint)
                self._courier.meet(command.transport, command.endpoint, lambda why: self._channel.send(told(why)))
            case Gone():
                self._courier.leave(command.endpoints)
            case Ping():
                self._channel.answer(Pong(time.monotonic()))
            case _:
                self._inbox.put(command)

    def _now(self) -> float:
        return time.monotonic() - self._zero_s

    def _step(self, plan: Plan, before_s: float) -> None:
        """`before_s`: the process's CPU time when the step began. The courier's share counts as the worker's own; the
        rest of the step's time, other processes had the core."""
        pieces = self._worker.pieces(plan)
        leaving = [piece for piece in pieces if piece.request in self._layered]
        for piece in leaving:
            self._courier.begin(self._layered.pop(piece.request), self._transport, piece.blocks)

        def layer_ready(layer: int) -> None:
            mark = self._place.mark()
            for piece in leaving:
                self._courier.layer_ready(piece.request, layer, mark)

        sampled = self._runner.run(pieces, layer_ready if leaving else None)
        self._place.finish()  # a step that samples nothing has not waited for its end
        # on a GPU, the process's own time says nothing of the step's
        cpu_s = time.process_time() - before_s if self._place.name == "cpu" else None
        self._say(self._worker.finish(plan, sampled, self._now(), cpu_s))

    def _obey_all(self, wait: bool) -> None:
        """Carry out the commands received so far. `wait`: with nothing to compute, wait for one first."""
        if wait:
            self._obey(self._inbox.get())
        while not self._inbox.empty():
            self._obey(self._inbox.get())

    def _obey(self, command: Command) -> None:
        match command:
            case Configure():
                self._transport = command.transport
                own = self._own_policy() if command.policy == OWN else None
                self._worker.configure(command.policy, command.chunk, command.samples_first_token, own)
            case Prefill():
                self._worker.submit(command.request, command.output_ids)
                if command.ship is not None:
                    self._layered[command.request.id] = command.ship
            case Reserve():
                self._say(self._worker.reserve(command.request, command.tokens))
            case Admit():
                self._admit(command)
            case Drop():
                self._drop(command.request)
            case Corrupt():
                self._corrupt_next = True
            case _:
                raise AssertionError(f"{command} is no command to a running worker")

    def _own_policy(self) -> Policy:
        """Read again at each run: its author may have changed it."""
        assert self._own is not None, "this worker was started without a policy of its own"
        return OwnFile.read(self._own).policy(self._worker.name)

    def _admit(self, admit: Admit) -> None:
        blocks = self._worker.blocks_of(admit.request.id)[: admit.nbytes // self._prepared.kv_shape.tray_bytes(1)]
        if self._corrupt_next:
            self._corrupt_next = False
            self._pool.flip(blocks[0])
        verified = self._digest(self._pool, blocks) == admit.digest
        if verified:
            self._worker.admit(admit.request, admit.output_ids)
        self._channel.send(Compared(admit.request.id, verified))

    def _drop(self, request: str) -> None:
        """First all writing for the request stops; only then may its blocks go to another."""
        self._courier.abort(request)
        self._transports.grants.revoke(request)
        self._layered.pop(request, None)
        self._say(self._worker.drop(request, self._now()))

    def _say(self, outputs: Iterable[Output]) -> None:
        """Send events in batches and messages one by one, in order. Blocks are granted before they are announced."""
        events: list[Event] = []
        for output in outputs:
            if not isinstance(output, Report):
                events.append(output)
                continue
            if events:
                self._channel.send(Said(tuple(events)))
                events = []
            if isinstance(output, Reserved):
                self._transports.grants.grant(output.request, output.blocks)
            self._channel.send(output)
        if events:
            self._channel.send(Said(tuple(events)))


def main() -> None:
    """Be a worker, on the channel that the front has opened for this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the front decides
    own = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    may_end()
    serve(Connection(int(sys.argv[1])), key=os.environ[KEY_VARIABLE].encode(), own=own)


if __name__ == "__main__":
    main()
