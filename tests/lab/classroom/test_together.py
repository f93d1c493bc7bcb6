"""Calls of many pages in few trips to a thread: each gets its own answer, in the order asked for."""

import asyncio
import threading
from functools import partial
from operator import mul
from typing import Any

import pytest

from lab.classroom.together import MOST, Together


def test_many_calls_take_few_trips_and_each_gets_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    trips: list[int] = []

    async def counted(do: Any, calls: Any) -> Any:
        trips.append(len(calls))
        return await to_thread(do, calls)

    async def act() -> None:
        at_once = Together()
        doubled = [at_once.call(partial(mul, 2, n)) for n in range(100)]
        assert await asyncio.gather(*doubled) == [2 * n for n in range(100)]
        assert sum(trips) == 100
        assert max(trips) <= MOST
        assert len(trips) == -(-100 // MOST)
        assert await at_once.call(lambda: "later") == "later"

    to_thread = asyncio.to_thread
    monkeypatch.setattr(asyncio, "to_thread", counted)
    asyncio.run(act())


def test_what_one_raises_is_its_own_and_the_loop_s_thread_makes_none() -> None:
    made_in: list[int] = []

    def fine() -> int:
        made_in.append(threading.get_ident())
        return 1

    def wrong() -> int:
        raise KeyError("mine")

    async def act() -> None:
        at_once = Together()
        found = await asyncio.gather(*map(at_once.call, (fine, wrong, fine)), return_exceptions=True)
        assert [type(one) for one in found] == [int, KeyError, int]

    asyncio.run(act())
    assert threading.get_ident() not in made_in


def test_who_leaves_meanwhile_is_waited_for_by_nobody() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go.wait()
        return "slow"

    async def act() -> None:
        at_once = Together()
        first, leaves, stays = (
            asyncio.create_task(at_once.call(do)) for do in (slow, lambda: "left", lambda: "stayed")
        )
        await asyncio.to_thread(begun.wait)
        leaves.cancel()
        go.set()
        assert (await first, await stays) == ("slow", "stayed")
        assert leaves.cancelled()

    asyncio.run(act())
