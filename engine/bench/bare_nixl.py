"""NIXL by itself: one write of a whole handoff's bytes between two processes, polled without pauses until it ends."""

import os
import time
from typing import Any

import msgspec

from engine.errors import TransportFailed
from engine.live.compute.kv import KvPool
from engine.live.handoff.transports.nixl import NixlEndpoint, library


class BareNixl:
    """Writes from `pool` to the receiver's pool, which has the same number of blocks."""

    def __init__(self, pool: KvPool, endpoint: bytes) -> None:
        theirs = msgspec.msgpack.decode(endpoint, type=NixlEndpoint)
        api = library()
        self._pool = pool
        self._row_bytes = pool.shape.row_bytes
        self._agent = api.nixl_agent(f"bare-{os.getpid()}", api.nixl_agent_config(enable_prog_thread=False))
        self._here, self._there = pool.tensor.data_ptr(), theirs.address
        self._agent.register_memory([(self._here, pool.nbytes, 0, "")], "DRAM")
        self._peer = self._agent.add_remote_agent(theirs.metadata).decode()
        self.seconds(0, 0, pool.blocks)  # the first one connects

    def seconds(self, source: int, target: int, count: int) -> float:
        """Seconds for one write of `count` consecutive blocks, from block `source` to block `target`.

        Raises TransportFailed.
        """
        begun_s = time.perf_counter()
        ends = ((self._here, source), (self._there, target))
        here, there = (self._agent.get_xfer_descs(self._regions(*end, count), "DRAM") for end in ends)
        handle = self._agent.initialize_xfer("WRITE", here, there, self._peer)
        state = self._agent.transfer(handle)
        while state == "PROC":
            state = self._agent.check_xfer_state(handle)
        self._agent.release_xfer_handle(handle)
        if state != "DONE":
            raise TransportFailed(f"NIXL could not write: it ended as {state}.")
        return time.perf_counter() - begun_s

    def _regions(self, base: int, block: int, count: int) -> Any:
        first = base + block * self._row_bytes
        stride = self._pool.blocks * self._row_bytes
        return [(first + plane * stride, count * self._row_bytes, 0) for plane in range(2 * self._pool.shape.layers)]
