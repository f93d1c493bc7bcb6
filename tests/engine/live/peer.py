"""A receiver in a process of its own, and the test's hold on it.

The process ends when its standard input does, so with the test that started it, however that ends.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.live.compute.kv import KvPool, Rows, pool_rows, row_numbers
from engine.live.handoff.checksum import digest
from engine.live.handoff.transports import Transports
from engine.live.model.shape import KvShape
from tests.patience import PATIENCE_S

KEY = b"the key all workers of a test share"


def tray_rows(shape: KvShape, pool_blocks: int, blocks: Sequence[int]) -> Rows:
    """The rows of a tray that lies in `blocks` of a pool of `pool_blocks`, in the tray's order."""
    return row_numbers(2 * shape.layers, pool_blocks, blocks)


class Peer:
    def __init__(self, transports: Sequence[str], shape: KvShape, blocks: int) -> None:
        setting = msgspec.json.encode((transports, blocks, shape)).decode()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.live.peer", setting],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        self.endpoints: dict[str, bytes] = msgspec.msgpack.decode(self._answer(), type=dict[str, bytes])

    def grant(self, request: str, blocks: Sequence[int]) -> None:
        self._ask("grant", request, tuple(blocks))

    def revoke(self, request: str) -> None:
        self._ask("revoke", request)

    def digest(self, blocks: Sequence[int]) -> str:
        return str(self._ask("digest", blocks))

    def read(self, blocks: Sequence[int]) -> bytes:
        """The tray in these blocks."""
        answer: bytes = self._ask("read", blocks)
        return answer

    def written(self) -> list[int]:
        """The rows that are not zero any more."""
        answer: list[int] = self._ask("written")
        return answer

    def clear(self) -> None:
        self._ask("clear")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """It ends by itself, and well, unless it is dead already."""
        assert self.process.stdin
        assert self.process.stdout
        was_killed = self.process.poll() is not None
        self.process.stdin.close()
        try:
            assert self.process.wait(PATIENCE_S) == 0 or was_killed
        finally:
            self.kill()
            self.process.stdout.close()

    def _ask(self, *question: Any) -> Any:
        assert self.process.stdin
        self.process.stdin.write(msgspec.json.encode(question) + b"\n")
        self.process.stdin.flush()
        return msgspec.msgpack.decode(self._answer())

    def _answer(self) -> bytes:
        assert self.process.stdout
        length = int(self.process.stdout.readline())
        return self.process.stdout.read(length)


def main(names: list[str], blocks: int, shape: KvShape) -> None:
    pool = KvPool.create(shape, blocks)
    rows = pool_rows(pool)
    transports = Transports(pool, key=KEY, names=names)
    _say(transports.endpoints)
    for line in sys.stdin.buffer:
        answer: object = None
        match msgspec.json.decode(line):
            case ["grant", request, granted]:
                transports.grants.grant(request, granted)
            case ["revoke", request]:
                transports.grants.revoke(request)
            case ["digest", asked]:
                answer = digest(pool, asked)
            case ["read", asked]:
                answer = rows[tray_rows(shape, blocks, asked)].tobytes()
            case ["written"]:
                answer = np.flatnonzero(rows.any(axis=1)).tolist()
            case ["clear"]:
                rows[:] = 0
        _say(answer)
    transports.close()


def _say(answer: object) -> None:
    data = msgspec.msgpack.encode(answer)
    sys.stdout.buffer.write(b"%d\n%b" % (len(data), data))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*msgspec.json.decode(sys.argv[1], type=tuple[list[str], int, KvShape]))
