"""`split-kitchen bench class`: a class on one lab, over the real protocol, while the engine runs.

An instructor takes learners through question after question: vote, counts, second vote, the run that all watch, answer.
Another visitor has the kitchen open throughout. The learners run in this process and share the machine with the lab.
"""

import asyncio
import os
import random
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import click
from websockets.exceptions import WebSocketException

from engine.bench.figure import Figure, Findings, found
from engine.commands.bench_engine import say
from engine.live.process.run import machine
from engine.scenario import number, whole
from lab.bench.learners_page import LearnersPage
from lab.bench.startup import Fresh, fresh_lab
from lab.bench.streamlit_client import Kind, Page, RunWatcher

RERUN_S, BEHIND_S, AGE_S, GROWN = 0.100, 1.0, 0.150, 1.05
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


def p95(values: Sequence[float]) -> float:
    """The 95th percentile; NaN without values."""
    return sorted(values)[int(0.95 * len(values))] if values else float("nan")


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
        self.late: list[float] = []  # of this process's own event loop
        self.memory: list[float] = []  # the lab's process, once a second; bytes
        self.cpu_s = 0.0, 0.0  # used by the lab's process and by this one during the class
        self._pid, self._key = lab.pid, key
        self._code = asyncio.Event(), ""
        self._end_s = 0.0

    @property
    def going(self) -> bool:
        """Whether the class is still on."""
        return time.monotonic() < self._end_s

    async def hold(self, learners: int) -> None:
        """Hold the class: an instructor, a cook and so many learners, for `seconds`."""
        self._end_s = time.monotonic() + self.seconds
        lab_s, own_s = cpu_s(self._pid), time.process_time()
        code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as all:
            all.create_task(self._held(self.lead(code)))
            all.create_task(self._held(self.cook()))
            all.create_task(self.look_at_the_clock())
            all.create_task(self.look_at_the_memory())
            for n in range(learners):
                all.create_task(self._held(self.learn(random.Random(n), code)))
        self.cpu_s = cpu_s(self._pid) - lab_s, time.process_time() - own_s

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
            await page.fill(page.find("text_input", "Instructor's key").id, string_value=self._key)
            await page.press("Enter")
            await page.press("Open a class")
            told = " ".join(element.body for element in page.all("markdown"))
            code.set_result(re.findall(r"with \*\*(\w+)\*\*", told)[0])
            while self.going:
                await page.press("Ask this")
                self.questions += 1
                for button, pause_s in (("Show counts", TALK_S), ("Second vote", PAUSE_S), ("Run once for all", 0)):
                    await asyncio.sleep(PAUSE_S if button == "Show counts" else 0)
                    await page.press(button)
                    await asyncio.sleep(pause_s)
                while self.going and not await page.press("Show answer"):
                    await asyncio.sleep(0.5)
                await asyncio.sleep(TALK_S)
            self.errors += page.errors

    async def learn(self, chance: random.Random, code: "asyncio.Future[str]") -> None:
        """Be a learner: arrive within `ARRIVE_S`, join, vote, and watch the runs."""
        watched: dict[str, asyncio.Task[None]] = {}
        room = await code
        await asyncio.sleep(chance.uniform(0, ARRIVE_S))
        async with LearnersPage(self.host, room, cookie(), self.sent_s.append) as page:
            self.learners.append(page)
            while self.going:
                await asyncio.sleep(chance.uniform(0.3, 1.0))
                if (stream := page.stream) and stream not in watched:
                    watched[stream] = asyncio.create_task(self._held(self.watch(stream)))
                if page.page.get("form"):
                    await asyncio.sleep(chance.uniform(*THINK_S))
                    if page.page.get("form"):
                        self.votes += not await page.vote(guess(page.page["form"]["value"], chance), "sure")
            self.errors += page.errors
        for task in watched.values():
            task.cancel()
        await asyncio.gather(*watched.values(), return_exceptions=True)

    async def cook(self) -> None:
        """Opens a kitchen again and again."""
        async with self.page("", COOKS) as page:
            while self.going:
                if await page.press("Open the kitchen"):
                    await self.watch(stream_of(page))
                await asyncio.sleep(1)
            self.errors += page.errors

    async def watch(self, stream: str) -> None:
        """Watch one run to its end."""
        watch = RunWatcher()
        self.watches.append((stream.partition("&")[0], watch))
        await watch.watch(self.host, stream)

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
            self.memory.append(rss_bytes(self._pid))
            await asyncio.sleep(1)

    def ages_s(self) -> Iterator[float]:
        """Every token's age on arrival, taking a run's quickest message to need no time."""
        offsets: dict[str, float] = {}
        for run, watch in self.watches:
            offsets[run] = min(offsets.get(run, float("inf")), watch.offset_s)
        for run, watch in self.watches:
            yield from (age_s - offsets[run] for age_s in watch.ages_s)

    def behind_s(self) -> Iterator[float]:
        """How much later than the first page each other page showed the class's next state. Pages that joined only then
        do not count."""
        drawn = sorted((when_s, where, n > 0) for page in self.learners for n, (where, when_s) in enumerate(page.drawn))
        first_s: dict[str, float] = {}
        for when_s, where, was_here in drawn:
            if where not in first_s:
                first_s[where] = when_s
            elif was_here:
                yield when_s - first_s[where]


def rss_bytes(pid: int) -> float:
    """The process's resident memory. Linux only."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096.0


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far, over all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def guess(form: dict[str, Any], chance: random.Random) -> Any:
    """Anything that the form takes."""
    if form["type"] == "choice":
        return chance.choice(form["options"])[0]
    return [chance.uniform(form["low"], form["high"]) for _ in form.get("x", [0])]


async def crowd(held: Class, watchers: int) -> list[RunWatcher]:
    """That many sockets on one run, from its beginning to its end."""
    async with held.page("", COOKS) as page:
        while not await page.press("Open the kitchen"):
            await asyncio.sleep(0.5)
        stream = stream_of(page).partition("&")[0]
        return await asyncio.gather(*(RunWatcher().watch(held.host, stream) for _ in range(watchers)))


def figures(held: Class) -> list[Figure]:
    """What the class cost, with goals."""
    fifth = len(held.memory) // 5
    before, after = median(held.memory[fifth : 2 * fifth]), median(held.memory[-fifth:])
    both = held.reruns["page"] + held.reruns["fragment"]
    whole_s, ages_s = held.seconds, list(held.ages_s())
    return [
        Figure("errors", len(held.errors), "", most=0),
        Figure("reruns a second", len(both) / whole_s, "/s"),
        Figure("rerun, 95 of 100", p95(both), "s", most=RERUN_S),
        Figure("of whole pages, 95 of 100", p95(held.reruns["page"]), "s", most=RERUN_S),
        Figure("of fragments, 95 of 100", p95(held.reruns["fragment"]), "s", most=RERUN_S),
        Figure("a learner's act, until its answer, 95 of 100", p95(held.sent_s), "s", most=RERUN_S),
        Figure(
            "a page behind the first to go on with the class, 95 of 100", p95(list(held.behind_s())), "s", most=BEHIND_S
        ),
        Figure("messages' events seen", len(ages_s), ""),
        Figure("an event's age, 95 of 100", p95(ages_s), "s", most=AGE_S),
        Figure("memory of the lab's process, at the end", after, "B", "after the first fifth", before, most=GROWN),
        Figure("questions asked", held.questions, ""),
        Figure("votes cast", held.votes, ""),
        Figure("of a core, the lab's process took", held.cpu_s[0] / whole_s, ""),
        Figure("of a core, this bench took", held.cpu_s[1] / whole_s, ""),
        Figure("this bench's own loop was late, 95 of 100", p95(held.late), "s"),
    ]


def measure(model: str, learners: int, minutes: float, watchers: int) -> Findings:
    """Run the bench: `watchers` of one run first, then a class of `learners` for `minutes`."""
    key = secrets.token_urlsafe(12)
    with fresh_lab(model, SPLIT_KITCHEN_INSTRUCTOR_KEY=key) as lab:
        held = Class(lab, key, minutes * 60)
        watches = asyncio.run(crowd(held, watchers))
        held.reruns = {"page": [], "fragment": []}
        asyncio.run(held.hold(learners))
    most = max(watch.motions for watch in watches)
    seen = sum(watch.over and watch.whole and watch.motions == most for watch in watches)
    offset_s = min(watch.offset_s for watch in watches)
    ages_s = [age_s - offset_s for watch in watches for age_s in watch.ages_s]
    notes = [
        f"{learners} learners, {minutes:g} min. They, the lab and the engine's workers share {machine()}.",
        "An event is a token; its age is what it was on the run's clock, ahead by the quickest message's way.",
        *sorted(set(held.errors))[:5],
    ]
    return found(
        "class",
        machine(),
        [
            *figures(held),
            Figure("sockets that saw all of one run", seen, "", "that watched it", watchers, least=1.0),
            Figure("an event's age there, 95 of 100", p95(ages_s), "s", most=AGE_S),
        ],
        notes,
    )


@click.command()
@click.option("--learners", type=int, default=60, show_default=True)
@click.option("--minutes", type=float, default=5.0, show_default=True, help="How long the class goes on.")
@click.option("--watchers", type=int, default=200, show_default=True, help="Sockets on one run, before the class.")
@click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def class_command(learners: int, minutes: float, watchers: int, model: str, as_json: bool) -> None:
    """A class with an instructor on a fresh lab: errors, reruns, ages of events, memory; and sockets on one run."""
    whole("learners", learners, 1, 1000)
    number("minutes", minutes, above=0, unit="minutes")
    whole("watchers", watchers, 1, 1000)
    say(measure(model, learners, minutes, watchers), as_json)
