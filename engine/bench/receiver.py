"""A receiver of handoffs, in its own process: `python -m engine.bench.receiver '[SHAPE, BLOCKS, TRANSPORTS]'`."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import msgspec

from engine.live.compute.kv import KvPool
from engine.live.handoff.checksum import digest
from engine.live.handoff.transports import Transports
from engine.live.model.shape import KvShape

KEY = b"the shared secret of a bench's two processes"


class Receiver:
    """The bench's handle to the process. `endpoints`: of its pool, by transport."""

    def __init__(self, asked: IO[bytes], answers: IO[bytes]) -> None:
        self._asked, self._answers = asked, answers
        self.endpoints = msgspec.json.decode(answers.readline(), type=dict[str, bytes])

    def verify_s(self, blocks: Sequence[int]) -> float:
        """Seconds for the checksum of these blocks, as a worker computes it after a handoff."""
        self._asked.write(msgspec.json.encode(list(blocks)) + b"\n")
        self._asked.flush()
        return msgspec.json.decode(self._answers.readline(), type=float)


@contextmanager
def receiver(shape: KvShape, blocks: int, transports: Sequence[str]) -> Iterator[Receiver]:
    """Start a receiver, which ends with the block."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "engine.bench.receiver",
        msgspec.json.encode((shape, blocks, transports)).decode(),
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Receiver(process.stdin, process.stdout)
        process.stdin.close()


def main(shape: KvShape, blocks: int, names: list[str]) -> None:
    """Print the pool's endpoints, then answer each list of blocks with its checksum's seconds."""
    pool = KvPool.create(shape, blocks)
    pool.tensor.fill_(1)  # maps all pages, as in a pool that has been in use
    transports = Transports(pool, key=KEY, names=names)
    _say(transports.endpoints)
    for line in sys.stdin.buffer:  # until the bench closes it, however the bench ends
        begun_s = time.perf_counter()
        digest(pool, msgspec.json.decode(line, type=list[int]))
        _say(time.perf_counter() - begun_s)
    transports.close()


def _say(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*msgspec.json.decode(sys.argv[1], type=tuple[KvShape, int, list[str]]))
