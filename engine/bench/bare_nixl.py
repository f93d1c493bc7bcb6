"""What NIXL does by itself: one write of a whole tray between two processes, its end awaited without a pause."""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from engine.bench.receiver import receiver
from engine.errors import TransportFailed
from engine.live.kv import KvPool
from engine.live.shape import KvShape
from engine.live.transports.nixl import NixlEndpoint, _api

Region = tuple[int, int, int]  # address, bytes, device


class BareNixl:
    """Use as a context manager: it has a receiver of its own. `blocks` at either end."""

    def __init__(self, shape: KvShape, blocks: int) -> None:
        self._planes, self._blocks = shape.layers * 2, blocks
        self._row_bytes = shape.tray_bytes(1) // self._planes
        self._pool = KvPool.create(shape, blocks)  # the same kind of memory, with as large pages
        self._pool.tensor.fill_(1)
        self._receiver = receiver(shape, blocks, ["nixl"])
        self._open = ExitStack()

    def __enter__(self) -> "BareNixl":
        endpoints = self._open.enter_context(self._receiver)
        theirs = msgspec.msgpack.decode(endpoints["nixl"], type=NixlEndpoint)
        api = _api()
        self._agent = api.nixl_agent(f"bare-{os.getpid()}", api.nixl_agent_config(enable_prog_thread=False))
        here = self._pool.tensor.data_ptr()
        self._agent.register_memory([(here, self._pool.nbytes, 0, "")], "DRAM")
        self._peer = self._agent.add_remote_agent(theirs.metadata).decode()
        self._here, self._there = here, theirs.address
        self.seconds(0, 0, self._blocks)  # the first one connects
        return self

    def __exit__(self, *_: object) -> None:
        self._agent.remove_remote_agent(self._peer)
        self._open.close()

    def seconds(self, source: int, target: int, count: int) -> float:
        """Of one write of `count` blocks from `source` on to `target` on: in every plane one stretch."""
        begun_s = time.perf_counter()
        here, there = (
            self._agent.get_xfer_descs(self._regions(*end, count), "DRAM") for end in self._ends(source, target)
        )
        handle = self._agent.initialize_xfer("WRITE", here, there, self._peer)
        state = self._agent.transfer(handle)
        while state == "PROC":
            state = self._agent.check_xfer_state(handle)
        self._agent.release_xfer_handle(handle)
        if state != "DONE":
            raise TransportFailed(f"NIXL could not write: it ended as {state}.")
        return time.perf_counter() - begun_s

    def _ends(self, source: int, target: int) -> Sequence[tuple[int, int]]:
        return (self._here, source), (self._there, target)

    def _regions(self, base: int, block: int, count: int) -> Any:
        first = base + block * self._row_bytes
        stride = self._blocks * self._row_bytes
        return [(first + plane * stride, count * self._row_bytes, 0) for plane in range(self._planes)]
