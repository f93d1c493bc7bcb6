"""Short calls of many, made in few trips to a thread. No Streamlit.

While a thread computes, the event loop waits for the interpreter each time it has heard from a socket. Five hundred
pages with a trip each make it wait five hundred times, for longer than their drawing takes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 32  # calls a trip; who is in the first one hears before the last has begun


class Together:
    """Used on the event loop's thread. The calls are made one after the other, in the order asked for."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._trips: asyncio.Task[None] | None = None

    async def call(self, do: Callable[[], T]) -> T:
        """What `do` returns, or raises, in a thread."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((do, done))
        if self._trips is None or self._trips.done():
            self._trips = asyncio.create_task(self._travel())
        return await done

    async def _travel(self) -> None:
        while self._waiting:
            trip = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
            outcomes = await asyncio.to_thread(_outcomes, [do for do, _ in trip])
            for (_, done), (found, wrong) in zip(trip, outcomes, strict=True):
                if done.done():  # cancelled: its page is gone
                    continue
                if wrong is None:
                    done.set_result(found)
                else:
                    done.set_exception(wrong)


def _outcomes(calls: Sequence[Callable[[], Any]]) -> list[tuple[Any, Exception | None]]:
    return [_outcome(do) for do in calls]


def _outcome(do: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return do(), None
    except Exception as wrong:  # whoever has asked for the call gets it
        return None, wrong
