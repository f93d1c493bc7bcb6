"""A receiver of trays in a process of its own: `python -m engine.bench.receiver SHAPE BLOCKS TRANSPORTS`."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from engine.live.kv import KvPool
from engine.live.shape import KvShape
from engine.live.transports import Doors

KEY = b"what the two processes of a bench share"


@contextmanager
def receiver(shape: KvShape, blocks: int, transports: Sequence[str]) -> Iterator[dict[str, bytes]]:
    """Its endpoints by transport, for as long as the block is open."""
    command = [sys.executable, "-m", "engine.bench.receiver", msgspec.json.encode((shape, blocks, transports)).decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield msgspec.json.decode(process.stdout.readline(), type=dict[str, bytes])
        process.stdin.close()


def main(shape: KvShape, blocks: int, transports: list[str]) -> None:
    pool = KvPool.create(shape, blocks)
    pool.tensor.fill_(1)  # a pool that has been in use: its pages are there
    doors = Doors(pool, key=KEY, names=transports)
    sys.stdout.buffer.write(msgspec.json.encode(doors.endpoints) + b"\n")
    sys.stdout.buffer.flush()
    sys.stdin.read()  # until the bench hangs up, however it ends
    doors.close()


if __name__ == "__main__":
    main(*msgspec.json.decode(sys.argv[1], type=tuple[KvShape, int, list[str]]))
