"""This engine as it is in a worker process: scheduler, runner and paged pool, without the channels."""

import sys
import time
from collections.abc import Callable

import msgspec

from engine.bench.peers.talk import answer, prompt
from engine.blocks import BlockPool
from engine.live.compute.kv import KvPool
from engine.live.compute.optimizations import Optimizations
from engine.live.compute.runner import Runner
from engine.live.compute.weights import served
from engine.live.model.catalog import Prepared
from engine.request import Request
from engine.worker import Worker

MANY = 512  # output tokens of a request, more than any bench takes; blocks are reserved for all of them


class Ours:
    """The engine with one empty worker; every act returns seconds."""

    def __init__(self, prepared: Prepared) -> None:
        self._pool = KvPool.create(prepared.kv_shape, prepared.kv_blocks)
        optimizations = Optimizations.of_environment()
        self._runner = Runner(served(prepared, optimizations), self._pool, optimizations)

    def _empty(self) -> None:
        blocks = BlockPool(self._pool.blocks, self._pool.shape.block_tokens)
        self._worker = Worker("worker", blocks, "prefill_first")

    def _submit(self, number: int, tokens: int, output: int) -> None:
        self._worker.submit(Request(f"r{number}", tuple(prompt(tokens, number)), output))

    def acts(self) -> dict[str, Callable[..., float]]:
        """What the bench can ask for, by name."""
        return {"prefill": self.prefill, "gather": self.gather, "step": self.step}

    def prefill(self, tokens: int) -> float:
        """Seconds until the first token of a prompt."""
        self._empty()
        self._submit(0, tokens, 1)
        return self.step()

    def gather(self, batch: int, context: int) -> float:
        """Prefill `batch` requests of `context` tokens, so that the next steps decode all of them."""
        self._empty()
        for number in range(batch):
            self._submit(number, context, MANY)
        for _ in range(batch):  # at most one prompt per step
            self.step()
        plan, _ = self._worker.plan(0.0)
        assert [piece.tokens for piece in plan] == [1] * batch, "all of them decode, and none waits"
        return 0.0

    def step(self) -> float:
        """Seconds of one step, its scheduling included."""
        begun_s = time.perf_counter()
        plan, _ = self._worker.plan(0.0)
        sampled = self._runner.run(self._worker.pieces(plan))
        self._worker.finish(plan, sampled, 0.0)
        return time.perf_counter() - begun_s


def main(prepared: str) -> None:
    """Answer requests on stdin. `prepared`: a `Prepared` as JSON."""
    answer(lambda: Ours(msgspec.json.decode(prepared, type=Prepared)).acts())


if __name__ == "__main__":
    main(*sys.argv[1:])
