"""Turns at the engine: round robin over learners, with the instructor before everybody.

A *job* is what one learner asked for at once: one run, or the same orders in two or three kitchens. Each learner has
one job waiting; a newer one replaces it. Turns go by run, so a long job delays another learner by its current run and
no more.
"""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Not thread-safe."""

    def __init__(self) -> None:
        self._first: deque[T] = deque()
        self._waiting: dict[str, deque[T]] = {}  # by learner, in turn order
        self._served = ""  # whose run is on: last in line until it is over

    def put(self, learner: str, job: Sequence[T]) -> Sequence[T]:
        """Queue a job. Returns the job of this learner that it replaces."""
        replaced = self._waiting.get(learner, ())
        self._waiting[learner] = deque(job)  # keeps the learner's place in line
        return tuple(replaced)

    def put_first(self, one: T) -> None:
        """Put one before all others."""
        self._first.append(one)

    def take(self) -> T | None:
        """The next to run; None without any. The learner served before moves to the end of the line."""
        order = self._order()
        self._served = ""
        if self._first:
            self._waiting = {learner: self._waiting[learner] for learner in order}
            return self._first.popleft()
        if not order:
            return None
        learner, *others = order
        one = self._waiting[learner].popleft()
        self._waiting = {name: self._waiting[name] for name in (*others, learner) if self._waiting[name]}
        self._served = learner
        return one

    def remove(self, one: T) -> bool:
        """Returns whether it was waiting."""
        for queue in (self._first, *self._waiting.values()):
            if one in queue:
                queue.remove(one)
                self._waiting = {learner: left for learner, left in self._waiting.items() if left}
                return True
        return False

    def clear(self) -> Sequence[T]:
        """Returns all that waited."""
        lost = self.in_turn()
        self._first.clear()
        self._waiting.clear()
        return lost

    def in_turn(self) -> Sequence[T]:
        """All that wait, in the order in which they will run if nothing more is asked for."""
        queues = [list(self._waiting[learner]) for learner in self._order()]
        rounds = range(max(map(len, queues), default=0))
        return [*self._first, *(queue[n] for n in rounds for queue in queues if n < len(queue))]

    def _order(self) -> list[str]:
        """Learners in turn order."""
        return sorted(self._waiting, key=lambda learner: learner == self._served)
