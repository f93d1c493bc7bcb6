"""How fast KV goes from one GPU to another, or from one worker to another on the same: measured as workers send it. And
how fast each multiplies.

Run as a program, it measures and prints JSON; with `hold`, it is the receiver of a measurement. Both are processes of
their own, so nothing of a GPU stays with whoever asks.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations_with_replacement

import msgspec
import numpy as np
import torch

from engine.errors import TransportFailed, WorkerFailed
from engine.live import gpus
from engine.live.compute.kv import DevicePool, Pool, pool_on, pool_rows
from engine.live.compute.place import Place
from engine.live.compute.places import place
from engine.live.handoff.checksum import checksum
from engine.live.handoff.transport import Segment
from engine.live.handoff.transports import Transports
from engine.live.model.shape import KvShape

SHAPE = KvShape(layers=8, kv_heads=8, head_dim=128, block_tokens=16, dtype="bfloat16")
BLOCKS = {"cuda": 512, "cpu": 16}  # of half a megabyte, by the device's type: as much as a usual prompt's
PRODUCT = {"cuda": 8192, "cpu": 128}  # edge of the square product in bf16
REPEATS = 4
HOLD = "hold"


class Pair(msgspec.Struct, frozen=True):
    """Bytes/s from `source` to `target`: of KV as workers hand it over, checksum included, and of the driver's plain
    copy. `why`: why KV can't be handed over by shm; both are 0 then. `flops_per_s`: of products in bf16, on one GPU."""

    source: str
    target: str
    handed_bytes_per_s: float = 0.0
    copied_bytes_per_s: float = 0.0
    why: str = ""
    flops_per_s: float = 0.0


def measure(places: Sequence[str]) -> list[Pair]:
    """Each two of these places, and each with itself: some seconds a place. Raises WorkerFailed."""
    ran = subprocess.run(_program(*places), capture_output=True, check=False, env=gpus.environment())
    if ran.returncode:
        raise WorkerFailed(f"GPUs could not be measured: {ran.stderr.decode()[-500:]}")
    return msgspec.json.decode(ran.stdout, type=list[Pair])


def _program(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "engine.live.machine.gpu_pairs", *arguments]


def _pairs(names: Sequence[str]) -> Iterator[Pair]:
    for target in names:
        with _holder(target) as endpoint:
            for source, end in combinations_with_replacement(names, 2):
                if end == target:
                    yield _pair(source, target, endpoint)


def _pair(source: str, target: str, endpoint: bytes) -> Pair:
    here = place(source)
    here.enter()
    flops_per_s = _flops_per_s(here) if source == target else 0.0
    pool = _pool(here)
    rows = np.arange(len(pool_rows(pool)))
    try:
        path = Transports(pool, key=b"", names=["shm"]).connect("shm", endpoint)
        some = path.piece_bytes // SHAPE.row_bytes

        def hand() -> None:
            made = checksum(pool)
            for first in range(0, len(rows), some):
                piece = rows[first : first + some]
                path.write(Segment("measured", pool_rows(pool), piece, piece), made)
            path.flush()

        handed_s = _quickest_s(hand)
    except TransportFailed as failed:
        return Pair(source, target, why=str(failed), flops_per_s=flops_per_s)
    there = place(target)
    there.enter()
    other = torch.empty_like(pool.tensor, device=there.device)

    def copy() -> None:
        other.copy_(pool.tensor)
        there.finish()

    nbytes = SHAPE.tray_bytes(pool.blocks)
    return Pair(source, target, nbytes / handed_s, nbytes / _quickest_s(copy), flops_per_s=flops_per_s)


def _pool(here: Place) -> Pool:
    pool = pool_on(here, SHAPE, BLOCKS[here.device.type])
    assert isinstance(pool, DevicePool)
    return pool


def _flops_per_s(here: Place) -> float:
    edge = PRODUCT[here.device.type]
    factor = torch.ones(edge, edge, dtype=torch.bfloat16, device=here.device)

    def multiply() -> None:
        torch.mm(factor, factor)
        here.finish()

    return 2 * edge**3 / _quickest_s(multiply)


def _quickest_s(act: Callable[[], None]) -> float:
    """The first time does not count: it sets things up."""
    taken = []
    for _ in range(REPEATS):
        begun_s = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begun_s)
    return min(taken[1:])


@contextmanager
def _holder(name: str) -> Iterator[bytes]:
    """The endpoint of a pool that another process has there."""
    with subprocess.Popen(_program(HOLD, name), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield bytes.fromhex(process.stdout.readline().decode())
        finally:
            process.stdin.close()


def _hold(name: str) -> None:
    here = place(name)
    here.enter()
    pool = _pool(here)
    sys.stdout.write(Transports(pool, key=b"", names=["shm"]).endpoints["shm"].hex() + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == HOLD:
        _hold(sys.argv[2])
    else:
        sys.stdout.buffer.write(msgspec.json.encode(list(_pairs(sys.argv[1:]))))
