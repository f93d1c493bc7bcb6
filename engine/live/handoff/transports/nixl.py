"""NIXL, NVIDIA's transfer library, as vLLM, SGLang and Dynamo use it: one-sided writes from pool to pool.

Its UCX backend needs no GPU: between two processes of one machine it writes into the other's memory (cma), between
machines it uses RDMA or TCP; pools on GPUs are registered as such. The receiver takes no part and cannot refuse, so the
sender must be stopped before blocks are freed.
"""

import atexit
import importlib
import logging
import os
import time
from collections import Counter
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import msgspec
import numpy as np

from engine.errors import TransportFailed
from engine.live.compute.kv import Memory, Pool, pool_rows
from engine.live.handoff.checksum import Checksum
from engine.live.handoff.transport import PACED_BYTES, TOLD_EVERY_S, KvEndpoint, Path, Segment, read_endpoint

PATIENCE_S = 10.0
POLL_S = 50e-6
PROGRESS_S = 0.01


class NixlEndpoint(KvEndpoint, frozen=True, tag="nixl"):
    """What a sender needs for NIXL: the receiver's agent metadata, and its pool's address."""

    metadata: bytes
    address: int  # of the pool, in the receiver's memory
    device: int = 0  # which of its GPUs has it


def why_not() -> str | None:
    """Why NIXL cannot be used here, or None if it can."""
    try:
        library()
    except Exception as error:  # no wheel, a missing library, another CUDA: all mean the same here
        return f"The nixl package cannot be used: {error}."
    return None


def library() -> Any:
    """NIXL's Python API, which its wheel keeps in a module with a private name: the only place that names it."""
    os.environ.setdefault("NIXL_LOG_LEVEL", "FATAL")  # errors are raised as exceptions anyway
    os.environ.setdefault("UCX_LOG_LEVEL", "fatal")
    api = importlib.import_module("nixl._api")
    logging.getLogger("nixl").setLevel(logging.CRITICAL)  # it logs to stdout, where a report may be going
    return api


class Nixl:
    """One agent per worker, for both directions.

    NIXL's own progress thread stays off: it would keep half a core busy. Writes need no help from the receiver, and
    what does (connecting, hanging up) can wait for `_progress`.
    """

    def __init__(self, pool: Pool) -> None:
        api = library()
        self.pool = pool
        memory = pool_rows(pool)
        self.rows, self.row_bytes = len(memory), pool.shape.row_bytes
        self._memory, self._spare = memory, memory[:1].copy() if isinstance(memory, np.ndarray) else memory[:1].clone()
        self.kind = "DRAM" if pool.place.device.type == "cpu" else "VRAM"
        self._device = pool.place.device.index or 0
        strict = api.nixl_thread_sync_t.NIXL_THREAD_SYNC_STRICT  # two threads use the agent
        config = api.nixl_agent_config(enable_prog_thread=False, sync_mode=strict)
        self.agent = api.nixl_agent(f"kv-{os.getpid()}-{os.urandom(4).hex()}", config)
        regions = [(_address(part), part.nbytes, self._device, "") for part in (memory, self._spare)]
        self.agent.register_memory(regions, self.kind)
        self.local = self.dlist("", self._device, [(_address(memory), self.rows), (_address(self._spare), 1)])
        self.endpoint = msgspec.msgpack.encode(
            NixlEndpoint(pool.shape, pool.blocks, self.agent.get_agent_metadata(), _address(memory), self._device)
        )
        self._paths: Counter[str] = Counter()  # open ones by peer: the agent knows peers, not paths
        self._closed = Event()
        self._thread = Thread(target=self._progress, name="kv-nixl", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a thread that the interpreter ends inside NIXL crashes the process

    def dlist(self, agent: str, device: int, regions: list[tuple[int, int]]) -> Any:
        """Descriptors of all rows of the regions, (address, rows) each; a write picks rows by number."""
        rows = [(address, self.row_bytes, device, self.row_bytes, count) for address, count in regions]
        return self.agent.prep_xfer_dlist(agent, np.array(rows, np.uint64), self.kind)

    def connect(self, endpoint: bytes) -> Path:
        return NixlPath(self, read_endpoint(endpoint, NixlEndpoint, self.pool.shape))

    def greet(self, metadata: bytes) -> str:
        """Load a peer's metadata; returns its name."""
        peer: str = self.agent.add_remote_agent(metadata).decode()
        self._paths[peer] += 1
        return peer

    def leave(self, peer: str) -> None:
        self._paths[peer] -= 1
        if not self._paths[peer]:
            self.agent.remove_remote_agent(peer)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _progress(self) -> None:
        self.pool.place.enter(side=True)
        while not self._closed.wait(PROGRESS_S):
            with suppress(Exception):  # a peer is gone: the next write to it will fail
                self.agent.get_new_notifs()


def _address(memory: Memory) -> int:
    address: int = memory.ctypes.data if isinstance(memory, np.ndarray) else memory.data_ptr()
    return address


class NixlPath:
    """Writes into another worker's pool through NIXL."""

    piece_bytes = 1 << 23  # a transfer cannot be stopped, so none may take longer than some milliseconds
    told_every_s = TOLD_EVERY_S

    def __init__(self, mine: Nixl, theirs: NixlEndpoint) -> None:
        self.blocks = theirs.blocks
        self._mine = mine
        self._agent = mine.agent
        self.paced_bytes = PACED_BYTES if mine.kind == "DRAM" else self.piece_bytes
        rows = theirs.blocks * theirs.shape.layers * 2
        try:
            self._peer = mine.greet(theirs.metadata)
            self._remote = mine.dlist(self._peer, theirs.device, [(theirs.address, rows)])
        except Exception as error:  # NIXL's exceptions share no base class
            raise TransportFailed(f"The receiver's NIXL agent cannot be used: {error}.") from error
        try:
            # the first transfer connects, which takes tens of milliseconds that no tray should pay for
            self._transfer("READ", np.array([mine.rows], np.int32), np.array([0], np.int32))
        except TransportFailed:
            self.close()
            raise

    def write(self, piece: Segment, checksum: Checksum) -> None:
        self._transfer("WRITE", piece.source.astype(np.int32), piece.target.astype(np.int32))
        checksum.add(piece.memory, piece.source)

    def flush(self) -> None:
        """Nothing to wait for: NIXL ends a write when it has landed, and `write` waits for that."""

    def close(self) -> None:
        with suppress(Exception):  # the peer is already gone
            self._agent.release_dlist_handle(self._remote)
            self._mine.leave(self._peer)

    def _transfer(self, operation: str, local: Any, remote: Any) -> None:
        give_up = time.monotonic() + PATIENCE_S
        try:
            handle = self._agent.make_prepped_xfer(operation, self._mine.local, local, self._remote, remote)
            state = self._agent.transfer(handle)
            while state == "PROC" and time.monotonic() < give_up:
                time.sleep(POLL_S)
                state = self._agent.check_xfer_state(handle)
            self._agent.release_xfer_handle(handle)
        except Exception as error:
            raise TransportFailed(f"NIXL could not {operation.lower()}: {error}.") from error
        if state != "DONE":
            raise TransportFailed(f"NIXL could not {operation.lower()}: it ended as {state}.")
