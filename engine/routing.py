"""Which of several workers takes an order. A route sees the candidates and their loads, and picks one.

least loaded   the fewest tokens still to compute
round robin    one after the other
KV-aware       the fewest blocks to prefill, after what it has cached, plus those it decodes over (NVIDIA Dynamo)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from engine.loads import Load
from engine.order import Order


class Route(Protocol):
    """Chooses the worker that serves an order."""

    def choose(self, order: Order, workers: Sequence[str], loads: Mapping[str, Load]) -> str:
        """One of `workers`, which is not empty. The order is not yet part of any load."""

    def cached(self, order: Order, worker: str) -> int:
        """How many of its first tokens have their KV at the worker already."""

    def stays(self, order: Order, here: str, others: Sequence[str], loads: Mapping[str, Load], most: int) -> bool:
        """Whether `here`, which is to decode it, prefills it too; else one of `others`, which only prefill, does.

        `most`: the deployment's `local_prefill_tokens`.
        """


Cached = Callable[[str, str], int]  # request, worker -> tokens


def nothing_cached(request: str, worker: str) -> int:
    """No worker has any KV of a request's prefix."""
    return 0


class LeastLoaded:
    """The fewest tokens still to compute; the first of equals."""

    def __init__(self, cached: Cached = nothing_cached) -> None:
        self._cached = cached

    def choose(self, order: Order, workers: Sequence[str], loads: Mapping[str, Load]) -> str:
        best, fewest = workers[0], loads[workers[0]].tokens
        for worker in workers:  # a plain loop: it runs twice a request, over every worker of a rack
            load = loads[worker]
            if (tokens := load.prefill_tokens + load.output_tokens) < fewest:
                best, fewest = worker, tokens
        return best

    def cached(self, order: Order, worker: str) -> int:
        return self._cached(order.request.id, worker)

    def stays(self, order: Order, here: str, others: Sequence[str], loads: Mapping[str, Load], most: int) -> bool:
        return order.tokens - self.cached(order, here) <= most


class RoundRobin(LeastLoaded):
    """Workers in turn, regardless of load; each group of workers has its own turn."""

    def __init__(self, cached: Cached = nothing_cached) -> None:
        super().__init__(cached)
        self._turns: dict[tuple[str, ...], int] = {}

    def choose(self, order: Order, workers: Sequence[str], loads: Mapping[str, Load]) -> str:
        group = tuple(workers)
        turn = self._turns[group] = self._turns.get(group, -1) + 1
        return workers[turn % len(workers)]


class KvAware(LeastLoaded):
    """The lowest `prefill_scale` × blocks still to prefill, this order's uncached ones included, + blocks in decode.

    After NVIDIA Dynamo's KV router at temperature 0, without its host and disk tiers: the cost function of its
    router-design page. `block_tokens` only scales; 16 is Dynamo's default for vLLM.
    """

    def __init__(
        self, cached: Cached, *, prefill_scale: float = 1.0, overlap_credit: float = 1.0, block_tokens: int = 16
    ) -> None:
        super().__init__(cached)
        self.prefill_scale = prefill_scale
        self.overlap_credit = overlap_credit
        self.block_tokens = block_tokens

    def choose(self, order: Order, workers: Sequence[str], loads: Mapping[str, Load]) -> str:
        return min(workers, key=lambda worker: self.cost(order, worker, loads[worker]))

    def cost(self, order: Order, worker: str, load: Load) -> float:
        """The order's cost at the worker, in blocks; the lowest wins."""
        credit = self.overlap_credit * self.cached(order, worker)
        to_prefill = max(load.prefill_tokens + order.tokens - credit, 0) / self.block_tokens
        return self.prefill_scale * to_prefill + load.kv_tokens / self.block_tokens
