"""What the watchers of a run are told: all of it, in order, together, and no more often than they can draw."""

import asyncio
import json
from typing import Any

from engine.scenario import Scenario
from lab.runs.run_feed import Run
from tests.lab.fake_kitchen import cook, requests
from tests.patience import PATIENCE_S

QUICK_S, LONG_S = 0.01, 60.0
EVENTS = cook("disaggregated", requests(4))


async def watched(run: Run, since: int = 0, every_s: float = QUICK_S) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_S):
        return [json.loads(text) async for text in run.watch(since, every_s)]


def motions(told: list[dict[str, Any]]) -> list[Any]:
    return [motion for message in told for motion in message.get("motions", [])]


def test_whenever_they_come_all_watchers_are_told_the_same_and_the_end() -> None:
    async def act() -> None:
        run = Run("run", Scenario())
        watchers = [asyncio.create_task(watched(run))]
        for n, event in enumerate(EVENTS):
            run.happened([event], n * 0.1)
            if n % 7 == 0:
                await asyncio.sleep(QUICK_S)
                watchers.append(asyncio.create_task(watched(run, every_s=QUICK_S * (1 + n % 3))))
        run.end()
        all_told = [await watcher for watcher in watchers]
        late = await watched(run)
        for told in (*all_told, late):
            assert motions(told) == motions(late)
            assert told[-1] == {"over": True, "refused": ""}
            places = [message["seq"] for message in told[:-1]]
            assert places == sorted(set(places))
        assert motions(late)
        assert motions(await watched(run, since=5)) == motions(late)[5:]

    asyncio.run(act())


def test_they_are_told_no_more_often_than_they_can_draw_and_of_the_end_without_waiting_for_more() -> None:
    async def act() -> None:
        run = Run("run", Scenario())
        often, seldom = (asyncio.create_task(watched(run, every_s=every_s)) for every_s in (0.0, LONG_S))
        await asyncio.sleep(0)
        for event in EVENTS:
            run.happened([event], 0.0)
            await asyncio.sleep(QUICK_S)
        assert not seldom.done()
        run.end()
        assert len(await often) > 5
        seldom.cancel()
        told = []
        async with asyncio.timeout(PATIENCE_S):
            async for text in run.watch(0, LONG_S):  # who comes after the end
                told.append(json.loads(text))
        assert motions(told) == motions(await often)

    asyncio.run(act())
