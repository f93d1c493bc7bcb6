"""Which of several workers takes an order. A route sees the workers that could and their loads, and names one."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.loads import Load
from engine.order import Order


class Route(Protocol):
    def choose(self, order: Order, workers: Sequence[str], loads: Mapping[str, Load]) -> str:
        """One of `workers`, of which there is at least one; the order is not yet part of its load."""

    def cached(self, order: Order, worker: str) -> int:
        """Tokens at the beginning of its prompt whose KV the worker has already."""


class LeastLoaded:
    """The fewest tokens still to compute; the first of equals."""

    def choose(self, order: Order, workers: Sequence[str], loads: Mapping[str, Load]) -> str:
        return min(workers, key=lambda worker: loads[worker].tokens)

    def cached(self, order: Order, worker: str) -> int:
        return 0
