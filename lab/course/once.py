"""What is made of a value once, for as long as that very value is asked for: five hundred pages of a class show it."""

from collections.abc import Callable
from typing import Generic, TypeVar

from lab.runs.lru import LRU

T = TypeVar("T")
KEPT = 32


class OnceFor(Generic[T]):
    """`make(value, more)`, where `more` goes with the value. Values are told apart by identity: they are large, and do
    not change."""

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        self._kept: LRU[int, tuple[object, T]] = LRU(KEPT)

    def __call__(self, value: object, *more: object) -> T:
        kept = self._kept.get(id(value))
        if kept is None or kept[0] is not value:  # the value is kept too, so that no other gets its identity
            kept = value, self._make(value, *more)
            self._kept.put(id(value), kept)
        return kept[1]
