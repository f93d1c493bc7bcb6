"""The process that owns a deployment's vLLM servers, and their network: nothing of them outlives it or its owner.

    python -m engine.vllm.keeper FD FOLDER        FOLDER/servers.json says what to start

It listens on the channel FD until its owner says "end" or is gone; in that case it removes FOLDER, too. Servers are in
its process group. Where it is started in a network namespace (`engine.vllm.road`), they share it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from engine.errors import WorkerFailed
from engine.vllm import process_group, road
from engine.vllm.servers import VllmServer

STOP_S = 8.0
LOOK_S = 0.2


class Orders(msgspec.Struct, frozen=True):
    """What to start. `paced`: in a namespace of their own, with `bytes_per_s` on its loopback (None: unpaced)."""

    servers: list[VllmServer]
    paced: bool = False
    bytes_per_s: float | None = None


class Pace(msgspec.Struct, frozen=True, tag=True):
    """To the keeper: another pace. Answered by `Done`."""

    bytes_per_s: float | None


class End(msgspec.Struct, frozen=True, tag=True):
    """To the keeper: end all servers, then yourself, and leave the files."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """From the keeper, the answer to `Pace`: "" or why it could not be done."""

    why: str = ""


class Ended(msgspec.Struct, frozen=True, tag=True):
    """From the keeper: a server has ended by itself."""

    server: str


encode = msgspec.msgpack.Encoder().encode
to_keeper: msgspec.msgpack.Decoder[Pace | End] = msgspec.msgpack.Decoder(Pace | End)
from_keeper: msgspec.msgpack.Decoder[Done | Ended] = msgspec.msgpack.Decoder(Done | Ended)


def main() -> None:
    """Start the servers, keep them, end them."""
    owner: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    folder = Path(sys.argv[2])
    # a handler, not "ignore", which the servers would inherit: they share this process's group, and its signals
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    orders = msgspec.json.decode((folder / "servers.json").read_bytes(), type=Orders)
    abandoned, before = False, process_group.shared_files()
    try:
        if orders.paced:
            road.open_road(orders.bytes_per_s)
        _keep(owner, {server.name: _start(server, folder) for server in orders.servers})
    except (EOFError, ConnectionError):
        abandoned = True
    except (OSError, WorkerFailed) as wrong:
        sys.stderr.write(f"{wrong}\n")
        sys.exit(1)
    finally:
        memory = process_group.shared_by(os.getpgrp()) - before
        os.killpg(0, signal.SIGTERM)
        give_up_s = time.monotonic() + STOP_S
        while _others() and time.monotonic() < give_up_s:
            time.sleep(LOOK_S)
        process_group.remove(memory)
        if abandoned or _gone(owner):  # it may have gone while the servers ended
            shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)  # what is left of them, and this


def _start(server: VllmServer, folder: Path) -> "subprocess.Popen[bytes]":
    Path(server.env["TMPDIR"]).mkdir()
    with (folder / f"{server.name}.log").open("wb") as log:
        return subprocess.Popen(
            server.command,
            env=os.environ | server.env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _keep(owner: "Connection[bytes, bytes]", servers: "dict[str, subprocess.Popen[bytes]]") -> None:
    """Until the owner says that it is over. Raises EOFError if it is gone."""
    running = dict(servers)
    while True:
        for name in [name for name, process in running.items() if process.poll() is not None]:
            del running[name]
            owner.send_bytes(encode(Ended(name)))
        if not owner.poll(LOOK_S):
            continue
        match to_keeper.decode(owner.recv_bytes()):
            case Pace(bytes_per_s):
                why = ""
                try:
                    road.pace(bytes_per_s)
                except WorkerFailed as failed:
                    why = str(failed)
                owner.send_bytes(encode(Done(why)))
            case End():
                return


def _gone(owner: "Connection[bytes, bytes]") -> bool:
    try:
        return owner.poll(0) and not owner.recv_bytes()
    except (EOFError, OSError):
        return True


def _others() -> bool:
    """Whether the group has another process that still runs. Ended children are reaped on the way."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return process_group.members(os.getpgrp()) != [os.getpid()]


if __name__ == "__main__":
    main()
