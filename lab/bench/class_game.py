"""A class that plays a round of the game over the real protocol: what a move, a round and its hint cost the lab."""

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from lab.bench.classroom import ALL_SEE_S, AT_ONCE, Class, cookie
from lab.bench.learners_page import LearnersPage
from lab.bench.process import cpu_s


class GameCost(NamedTuple):
    """Of all learners together: moves asked for, rounds finished, each with a hint, and rounds that the lab has
    confirmed. CPU time of the lab's process, in seconds, with what it tells the class's pages meanwhile."""

    moves: int
    moves_cpu_s: float
    rounds: int
    rounds_cpu_s: float
    hints_cpu_s: float
    confirmed: int


async def play_at_once(held: Class, learners: int) -> GameCost:
    """So many learners in a class of their own play the same round to its end, each as chance will have it, then all
    finish, while nothing else happens."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def come(page: LearnersPage) -> None:
        async with turn:
            await here.enter_async_context(page)

    async def play(page: LearnersPage, chance: random.Random) -> tuple[dict[str, Any], list[str]]:
        round_ = await page.game()
        asked, moves = {name: round_[name] for name in ("level", "seed", "pace")}, list[str]()
        while True:
            async with turn:
                answer = await page.move(asked | {"moves": moves})
            if answer["result"]:
                return asked, moves
            moves.append(chance.choice(answer["buttons"])["move"])

    async def finish(page: LearnersPage, moves: list[str]) -> bool:
        async with turn:
            return await page.send("finish", moves=moves) == ""

    async def hint(page: LearnersPage, asked: dict[str, Any], moves: list[str]) -> None:
        async with turn:
            await page.move(asked | {"moves": moves, "search": "hint"})

    async def all_at(step: str) -> None:
        async with asyncio.timeout(ALL_SEE_S):
            while not all(page.page.get("step") == step for page in pages):
                await asyncio.sleep(0.1)

    async with held.page("instructor") as instructor, AsyncExitStack() as here:
        code = await held.opened(instructor)
        pages = [LearnersPage(held.host, code, cookie()) for _ in range(learners)]
        await asyncio.gather(*map(come, pages))
        await instructor.press("Let all play")
        await all_at("cook")
        before_s = cpu_s(held.pid)
        played = await asyncio.gather(*(play(page, random.Random(n)) for n, page in enumerate(pages)))
        between_s = cpu_s(held.pid)
        confirmed = await asyncio.gather(*(finish(page, moves) for page, (_, moves) in zip(pages, played, strict=True)))
        after_s = cpu_s(held.pid)
        await asyncio.gather(*(hint(page, *round_) for page, round_ in zip(pages, played, strict=True)))
        hinted_s = cpu_s(held.pid)
        await instructor.press("End the round")
        await all_at("cooked")
        held.errors += [error for page in pages for error in page.errors]
    asked = sum(len(moves) + 1 for _, moves in played)
    return GameCost(asked, between_s - before_s, len(pages), after_s - between_s, hinted_s - after_s, sum(confirmed))
