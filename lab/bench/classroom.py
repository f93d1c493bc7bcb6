"""A class that is held over the real protocol: an instructor, a cook and many learners, and what each did and saw."""

import asyncio
import random
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException

from lab.bench.learners_page import LearnersPage
from lab.bench.process import cpu_s, rss_bytes
from lab.bench.startup import Fresh
from lab.bench.streamlit_client import Kind, Page, RunsWatcher, RunWatcher, watch_run

ALL_SEE_S = 60.0  # for every page to show a question
AT_ONCE = 16  # who join or vote in the same moment, before the class
ARRIVE_S = 10.0  # learners arrive one by one within it
PAUSE_S, TALK_S = 15.0, 4.0  # for the votes; for the counts or the answer
THINK_S = (1.5, 10.0)  # before a vote
COOKS = "kitchen=Two+stations+and+a+pass&orders=4&rate=2&answer=32"  # runs of some seconds, in turn with the class's
WRONG = (WebSocketException, OSError, TimeoutError, RuntimeError)


def cookie() -> str:
    """A learner's name, new each time."""
    return secrets.token_urlsafe(16)


def stream_of(page: Page) -> str:
    """The path of the socket on the page's live run; "" without one."""
    kitchens = page.component("kitchen").get("kitchens", [])
    return next((kitchen["stream"] for kitchen in kitchens if kitchen["live"]), "")


class Class:
    """A class, and what everybody did and saw. All times in seconds."""

    def __init__(self, lab: Fresh, key: str, seconds: float) -> None:
        self.host = urlsplit(lab.url).netloc
        self.seconds = seconds
        self.reruns: dict[Kind, list[float]] = {"page": [], "fragment": []}
        self.watches: list[tuple[str, RunWatcher]] = []
        self.pages: list[Page] = []
        self.learners: list[LearnersPage] = []
        self.sent_s: list[float] = []  # from a learner's act to its answer
        self.errors: list[str] = []
        self.votes = self.questions = 0
        self.acts_s: list[float] = []  # when the instructor pressed what takes the class on
        self.late: list[float] = []  # of this process's own event loop
        self.memory: list[float] = []  # the lab's process, once a second; bytes
        self.cpu_s = 0.0, 0.0  # used by the lab's process and by this one during the class
        self.pid, self._key = lab.pid, key
        self._end_s = 0.0

    @property
    def going(self) -> bool:
        """Whether the class is still on."""
        return time.monotonic() < self._end_s

    async def hold(self, learners: int) -> None:
        """Hold the class: an instructor, a cook and so many learners, for `seconds`."""
        self._end_s = time.monotonic() + self.seconds
        lab_s, own_s = cpu_s(self.pid), time.process_time()
        code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as all:
            all.create_task(self._held(self.lead(code)))
            all.create_task(self._held(self.cook()))
            all.create_task(self.look_at_the_clock())
            all.create_task(self.look_at_the_memory())
            for n in range(learners):
                all.create_task(self._held(self.learn(random.Random(n), code)))
        self.cpu_s = cpu_s(self.pid) - lab_s, time.process_time() - own_s

    async def _held(self, part: Any) -> None:
        try:
            await part
        except WRONG as wrong:
            self.errors.append(repr(wrong))

    def page(self, name: str, query: str = "") -> Page:
        """A page of the lab in a new browser session, whose reruns are counted."""
        page = Page(self.host, name, query, cookie(), lambda kind, seconds: self.reruns[kind].append(seconds))
        self.pages.append(page)
        return page

    # ---- the people

    async def lead(self, code: "asyncio.Future[str]") -> None:
        """Be the instructor: open a class, then ask and answer until the class is over."""
        async with self.page("instructor") as page:
            code.set_result(await self.opened(page))
            while self.going:
                await self._act(page, "Ask this")
                self.questions += 1
                for button, pause_s in (("Show counts", TALK_S), ("Second vote", PAUSE_S), ("Run once for all", 0)):
                    await asyncio.sleep(PAUSE_S if button == "Show counts" else 0)
                    await self._act(page, button)
                    await asyncio.sleep(pause_s)
                while self.going and not await self._act(page, "Show answer"):
                    await asyncio.sleep(0.5)
                await asyncio.sleep(TALK_S)
            self.errors += page.errors

    async def opened(self, page: Page) -> str:
        """The code of a class that is opened now."""
        await page.fill(page.find("text_input", "Instructor's key").id, string_value=self._key)
        await page.press("Enter")
        await page.press("Open a class")
        told = " ".join(element.body for element in page.all("markdown"))
        return str(re.findall(r"with \*\*(\w+)\*\*", told)[0])

    async def _act(self, page: Page, button: str) -> bool:
        now_s = time.monotonic()
        if done := await page.press(button):
            self.acts_s.append(now_s)
        return done

    async def vote_at_once(self, learners: int) -> float:
        """So many learners in a class of their own, who all vote while nothing else happens. Returns the CPU time that
        the lab takes for a vote, in seconds: with its answer, and with what it tells the pages meanwhile."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def come(page: LearnersPage) -> None:
            async with turn:
                await here.enter_async_context(page)

        async def vote(page: LearnersPage) -> None:
            async with turn:
                await self.cast(page, random.Random(0))

        async with self.page("instructor") as instructor, AsyncExitStack() as here:
            code = await self.opened(instructor)
            pages = [LearnersPage(self.host, code, cookie(), self.sent_s.append) for _ in range(learners)]
            await asyncio.gather(*map(come, pages))
            await instructor.press("Ask this")
            async with asyncio.timeout(ALL_SEE_S):
                while not all(page.page.get("form") for page in pages):
                    await asyncio.sleep(0.1)
            before_s, voted = cpu_s(self.pid), self.votes
            await asyncio.gather(*map(vote, pages))
            after_s = cpu_s(self.pid)
            for page in pages:
                self.errors += page.errors
        return (after_s - before_s) / max(1, self.votes - voted)

    async def learn(self, chance: random.Random, code: "asyncio.Future[str]") -> None:
        """Be a learner: arrive within `ARRIVE_S`, join, vote, and watch the runs."""
        room = await code
        runs = RunsWatcher(self._begins)
        await asyncio.sleep(chance.uniform(0, ARRIVE_S))
        async with LearnersPage(self.host, room, cookie(), self.sent_s.append, runs.hear) as page:
            self.learners.append(page)
            while self.going:
                await asyncio.sleep(chance.uniform(0.3, 1.0))
                if page.page.get("form"):
                    await asyncio.sleep(chance.uniform(*THINK_S))
                    if page.page.get("form"):
                        await self.cast(page, chance)
            self.errors += page.errors

    async def cast(self, page: LearnersPage, chance: random.Random) -> None:
        """Vote, and count the vote if the lab has confirmed it. Counted after the answer: others vote meanwhile."""
        why = await page.vote(guess(page.page["form"]["value"], chance), "sure")
        self.votes += not why

    async def cook(self) -> None:
        """Opens a kitchen again and again."""
        async with self.page("", COOKS) as page:
            while self.going:
                if await page.press("Open the kitchen"):
                    await watch_run(self.host, stream_of(page), self._begins)
                await asyncio.sleep(1)
            self.errors += page.errors

    def _begins(self, run: str, watch: RunWatcher) -> None:
        self.watches.append((run, watch))

    # ---- the cost

    async def look_at_the_clock(self) -> None:
        """Record how late this process wakes up, in seconds: its own load must not pass for the lab's."""
        while self.going:
            begun_s = time.monotonic()
            await asyncio.sleep(0.05)
            self.late.append(time.monotonic() - begun_s - 0.05)

    async def look_at_the_memory(self) -> None:
        """Record the lab's resident memory, in bytes, once a second."""
        while self.going:
            self.memory.append(rss_bytes(self.pid))
            await asyncio.sleep(1)

    def ages_s(self) -> Iterator[float]:
        """Every token's age on arrival, taking a run's quickest message to need no time."""
        offsets: dict[str, float] = {}
        for run, watch in self.watches:
            offsets[run] = min(offsets.get(run, float("inf")), watch.offset_s)
        for run, watch in self.watches:
            yield from (age_s - offsets[run] for age_s in watch.ages_s)

    def behind_s(self) -> Iterator[float]:
        """How long after the instructor's press each page showed what it led to. Pages that joined only then do not
        count."""
        drawn = sorted((when_s, where, n > 0) for page in self.learners for n, (where, when_s) in enumerate(page.drawn))
        acted_s: dict[str, float] = {}
        for when_s, where, was_here in drawn:
            if where not in acted_s:
                acted_s[where] = max((act_s for act_s in self.acts_s if act_s < when_s), default=when_s)
            if was_here:
                yield when_s - acted_s[where]


def guess(form: dict[str, Any], chance: random.Random) -> Any:
    """Anything that the form takes."""
    if form["type"] == "choice":
        return chance.choice(form["options"])[0]
    return [chance.uniform(form["low"], form["high"]) for _ in form.get("x", [0])]
