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
import pytest

from engine.live.compute.kv import Bytes, Pool, Rows, pool_on, pool_rows, row_numbers
from engine.live.compute.place import is_device
from engine.live.compute.places import place
from engine.live.handoff.checksum import digest
from engine.live.handoff.transports import Transports, why_not
from engine.live.model.shape import KvShape
from tests.patience import PATIENCE_S

KEY = b"the key all workers of a test share"


def tray_rows(shape: KvShape, pool_blocks: int, blocks: Sequence[int]) -> Rows:
    """The rows of a tray that lies in `blocks` of a pool of `pool_blocks`, in the tray's order."""
    return row_numbers(2 * shape.layers, pool_blocks, blocks)


LACKS_NIXL = why_not("nixl")
PLACES = ("cpu", "stand-in")
ROADS = [
    *((where, transport) for where in PLACES for transport in ("shm", "tcp")),
    *(
        pytest.param(where, "nixl", marks=pytest.mark.skipif(bool(LACKS_NIXL), reason=str(LACKS_NIXL)))
        for where in PLACES
    ),
]
on_every_road = pytest.mark.parametrize(("where", "transport"), ROADS)
in_every_place = pytest.mark.parametrize("where", PLACES)


def doors() -> list[str]:
    """The transports of a pool."""
    return ["shm", "tcp"] if LACKS_NIXL else ["shm", "tcp", "nixl"]


def seen(pool: Pool) -> Bytes:
    """A pool's memory as [row, byte], to look into; a copy of it, where it lies on a GPU."""
    rows: Bytes = pool_rows(pool).cpu().numpy().view(np.uint8) if is_device(pool.place) else pool_rows(pool)
    return rows


class Peer:
    def __init__(self, transports: Sequence[str], shape: KvShape, blocks: int, where: str = "cpu") -> None:
        setting = msgspec.json.encode((transports, blocks, shape, where)).decode()
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


class Peers:
    """One receiver for each place, started when it is first asked for. Close them in the end."""

    def __init__(self, shape: KvShape, blocks: int) -> None:
        self._shape, self._blocks = shape, blocks
        self._running: dict[str, Peer] = {}

    def at(self, where: str) -> Peer:
        if where not in self._running:
            self._running[where] = Peer(doors(), self._shape, self._blocks, where)
        return self._running[where]

    def close(self) -> None:
        for peer in self._running.values():
            peer.close()


def main(names: list[str], blocks: int, shape: KvShape, where: str) -> None:
    here = place(where)
    here.enter()
    pool = pool_on(here, shape, blocks)
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
                answer = seen(pool)[tray_rows(shape, blocks, asked)].tobytes()
            case ["written"]:
                answer = np.flatnonzero(seen(pool).any(axis=1)).tolist()
            case ["clear"]:
                pool.tensor.zero_()
                here.finish()
        _say(answer)
    transports.close()


def _say(answer: object) -> None:
    data = msgspec.msgpack.encode(answer)
    sys.stdout.buffer.write(b"%d\n%b" % (len(data), data))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*msgspec.json.decode(sys.argv[1], type=tuple[list[str], int, KvShape, str]))
