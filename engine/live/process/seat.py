"""A worker's place in the deployment: the name stays while processes come and go, or fall silent."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from engine.disturbed import JOINED
from engine.errors import BadInput, WorkerFailed
from engine.live import gpus
from engine.live.process.join_server import KEY_VARIABLE, limit_silence
from engine.messages import Ready

LOOK_S = 1.0
# A worker answers in mid-step, however long the step is and whatever it compiles: its listening thread does it, and all
# that computes gives up the interpreter's lock. So an answer waits for a core, never for a step, and a loaded machine
# delays it by as long as a process waits for its share. 15 s is far more than that, and what the kernel gives a host
# before it counts as gone (`KEEPALIVE`). Looks are counted, not seconds: a laptop that slept, or a front that had no
# core itself, has looked only once.
LOOKS = 15
LOOKS_BEFORE_READY = 300  # until then it loads libraries and weights and compiles kernels: nobody can say how long
ON_GPUS = 2  # times that: what fits there may be a hundred times as large, and is read from the same disk
CLOCK_PINGS = 5
REAPED_S = 1.0  # a process closes its files a moment before it can be waited for
KILLED = "its process was killed"
EXHAUSTED = "it ran out of memory"
OUT_OF_MEMORY = 77  # a worker's exit code


@dataclass
class Seat:
    """One worker as its front sees it: its process, what it has said, and when it was last heard."""

    name: str
    core: int
    place: str = "cpu"
    memory_bytes: int = 0  # of a GPU, that its worker may take
    own: Path | None = None  # a policy of the caller's own, for its processes
    channel: "Connection[bytes, bytes] | None" = None
    process: "subprocess.Popen[bytes] | None" = None
    ready: Ready | None = None
    deaths: int = 0
    asked_s: float = 0.0
    round_trips: tuple[tuple[float, float], ...] = ()  # (seconds, clock offset) of each ping
    unanswered: int = 0  # looks since it was last heard
    killed: bool = False  # its process, on purpose

    def take(self, channel: "Connection[bytes, bytes]") -> None:
        """What comes and goes through this channel is the worker's from now on."""
        limit_silence(channel, LOOKS * LOOK_S)  # half a message must not hold up everybody else for ever
        self.channel, self.unanswered = channel, 0

    def start_process(self, key: bytes) -> None:
        ours, theirs = Pipe()
        fd = theirs.fileno()
        environment = {
            **(os.environ if self.place == "cpu" else gpus.environment()),
            "OMP_NUM_THREADS": "1",
            KEY_VARIABLE: key.decode(),
        }
        command = [sys.executable, "-P", "-m", "engine.live.process.worker_process", str(fd)]
        command += [str(self.own)] if self.own else []
        self.process = subprocess.Popen(command, pass_fds=[fd], env=environment, stdin=subprocess.DEVNULL)
        theirs.close()
        self.take(ours)

    def send(self, message: bytes) -> None:
        """If that fails, the worker has died or reads no more: its channel ends, and whoever reads it finds that."""
        if self.channel is None:
            return
        try:
            self.channel.send_bytes(message)
        except OSError:
            with socket.socket(fileno=os.dup(self.channel.fileno())) as same, suppress(OSError):
                same.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """Fault injection: its process dies at once. Raises BadInput where that can't be done, or would do more."""
        if self.process is None:
            raise BadInput("worker", self.name, "a worker process of this host")
        if self.place != "cpu" and gpus.under_mps():
            raise BadInput("worker", self.name, "left alive under MPS, where a kill may end every worker on its GPU")
        self.killed = True
        self.process.kill()

    @property
    def alive(self) -> bool:
        """Whether there is a worker that has not ended, as far as this host knows."""
        return self.channel is not None and (self.process is None or self.process.poll() is None)

    @property
    def looks_before_ready(self) -> int:
        """How many it may leave unanswered until then."""
        return LOOKS_BEFORE_READY if self.place == "cpu" else ON_GPUS * LOOKS_BEFORE_READY

    @property
    def hung(self) -> str:
        """Why it counts as dead though nobody has hung up; "" if it does not."""
        if self.channel is None or self.unanswered <= (LOOKS if self.ready else self.looks_before_ready):
            return ""
        return f"it had not answered for {LOOKS * LOOK_S:.0f} s" if self.ready else "it did not become ready"

    def ending(self) -> str:
        """How its worker came to its end, once its channel has closed."""
        if self.process is None:
            return "its connection ended"
        try:
            code = self.process.wait(REAPED_S)
        except subprocess.TimeoutExpired:
            return "it hung up"
        if code == -signal.SIGKILL:
            return KILLED
        if code == OUT_OF_MEMORY:
            return EXHAUSTED
        return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with exit code {code}"

    def timed(self, clock_s: float) -> float | None:
        """Take an answer to a ping: how far the worker's clock is ahead of ours. None: not sure yet, ask again."""
        heard_s = time.monotonic()
        offset_s = clock_s - (self.asked_s + heard_s) / 2
        self.round_trips = (*self.round_trips, (heard_s - self.asked_s, offset_s))
        if len(self.round_trips) < CLOCK_PINGS:
            return None
        return min(self.round_trips)[1]  # the shortest round trip leaves the least room for error

    def end(self, patience_s: float) -> None:
        """Its worker was told to stop; after so long it is killed."""
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
            self._reap(self.process)
        if self.channel is not None:
            self.channel.close()
        self.channel = self.process = None

    def vacate(self) -> Ready | None:
        """End whoever sits here, stopped or not; returns what it said when it was ready."""
        if self.channel is not None:
            self.channel.close()
        if self.process is not None:
            self._reap(self.process)
        was_ready, self.channel, self.ready, self.round_trips, self.killed = self.ready, None, None, (), False
        return was_ready

    def _reap(self, process: "subprocess.Popen[bytes]") -> None:
        """End it, if it has not ended, and leave nothing of it."""
        process.kill()
        process.wait()
        if self.place != "cpu":
            gpus.sweep(process.pid)


def worker_names(count: int) -> list[str]:
    """The names of this many workers, in the order in which a deployment assigns roles."""
    return [f"worker-{n}" for n in range(count)]


def seats(count: int, places: Sequence[str], own: Path | None) -> list[Seat]:
    """Empty ones, which take this host's cores and these places in turn."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [-1]
    taken = [places[n % len(places)] for n in range(count)]
    shares = gpus.shares(taken)
    return [
        Seat(name, cores[n % len(cores)], place, shares.get(place, 0), own)
        for n, (name, place) in enumerate(zip(worker_names(count), taken, strict=True))
    ]


def free_seat(seats: Sequence[Seat], policies: Sequence[str], role: str) -> Seat | None:
    """One without a worker that a newcomer of this role may take; `policies`: of each seat."""
    for seat, policy in zip(seats, policies, strict=True):
        if seat.channel is None and (role == "any" or policy.startswith(role)):
            return seat
    return None


def must_be_alike(seats: Sequence[Seat], ready: Ready) -> None:
    """All workers must lay out KV alike, or one could not read another's tray. Raises WorkerFailed."""
    for other in (seat.ready for seat in seats if seat.ready is not None):
        ours = (other.block_tokens, other.kv_bytes_per_token, other.dtype, other.context_tokens)
        theirs = (ready.block_tokens, ready.kv_bytes_per_token, ready.dtype, ready.context_tokens)
        if ours != theirs:
            raise WorkerFailed(f"workers differ in block size, KV bytes, dtype or context: {ours} and {theirs}.")


def remarks(seats: Sequence[Seat], *, joined: bool) -> tuple[str, ...]:
    """That workers have joined, and what they do in a slower way than they should, as clauses."""
    said = (remark for seat in seats if seat.ready is not None for remark in seat.ready.remarks)
    return tuple(dict.fromkeys([*([JOINED] if joined else []), *said]))
