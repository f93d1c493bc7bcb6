"""How much work each worker has left, updated as orders change, so that choosing one need not walk all orders."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.order import Order


@dataclass(eq=False, slots=True)
class Load:
    """One worker's tokens still to prefill, tokens still to make at most, and tokens whose KV it holds or will hold.

    `orders`: in how many orders it takes part.
    """

    prefill_tokens: int = 0
    output_tokens: int = 0
    kv_tokens: int = 0
    orders: int = 0

    @property
    def tokens(self) -> int:
        """Tokens still to compute."""
        return self.prefill_tokens + self.output_tokens


Share = tuple[Load, int, int, int]  # of a worker, and what one order adds to its prefill, output and KV tokens


class Loads:
    """Every worker's load, from the orders that are booked on it."""

    def __init__(self, workers: Iterable[str]) -> None:
        self.of = {worker: Load() for worker in workers}
        self._shares: dict[str, tuple[int, list[Share]]] = {}  # and how many tokens the order had then

    def join(self, worker: str) -> None:
        """Add a worker without load; does nothing if it is known."""
        self.of.setdefault(worker, Load())

    def book(self, order: Order, source_hands_off: bool) -> None:
        """Replace what the order added to its workers' loads by what it adds now."""
        self.forget(order)
        if shares := self._of(order, source_hands_off):
            self._shares[order.request.id] = (len(order.output_ids), shares)
            for load, prefill, output, kv in shares:
                load.prefill_tokens += prefill
                load.output_tokens += output
                load.kv_tokens += kv
                load.orders += 1

    def forget(self, order: Order) -> None:
        """Take away what the order adds. To be called before it has a token of which `made` did not hear."""
        booked = self._shares.pop(order.request.id, None)
        if booked is None:
            return
        before, shares = booked
        if made := len(order.output_ids) - before:
            decodes = shares[-1][0]  # the worker that decodes comes last
            decodes.output_tokens += made
            decodes.kv_tokens -= made
        for load, prefill, output, kv in shares:
            load.prefill_tokens -= prefill
            load.output_tokens -= output
            load.kv_tokens -= kv
            load.orders -= 1

    def made(self, worker: str, tokens: int) -> None:
        """Orders that decode at `worker` have so many more tokens, all together."""
        load = self.of[worker]
        load.output_tokens -= tokens
        load.kv_tokens += tokens

    def _of(self, order: Order, source_hands_off: bool) -> list[Share]:
        if order.stage == "done":
            return []
        shares: list[Share] = []
        tokens = order.tokens
        to_make = order.request.max_output_tokens - len(order.output_ids)
        if order.source:
            to_prefill = tokens if order.stage in ("prefilling", "reserving") else 0
            shares.append((self.of[order.source], to_prefill, 0 if source_hands_off else to_make, tokens))
        if order.target:
            shares.append((self.of[order.target], 0, to_make, tokens))
        return shares
