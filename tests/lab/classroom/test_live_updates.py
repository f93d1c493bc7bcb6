"""What a class's pages hear: how the class stands and when to rerun, and not all at the same time."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.websockets import WebSocket

from engine.events import Deployed
from engine.scenario import Scenario
from lab.classroom.actions import ClassActions
from lab.classroom.games import Games
from lab.classroom.live_updates import UNKNOWN_CLASS, LiveUpdates
from lab.classroom.looks import LOOK_S, Look, Looks, Sees, Stand, UpdateClock, look_at, stand
from lab.classroom.offers import Offers
from lab.classroom.presence import AWAY_S, Presence, digest
from lab.classroom.store import Room, RoomFile
from lab.course.evidence_runs import Gathering
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.run_feed import Run, RunFeed
from lessons import all_lessons
from lessons.book import Guess
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from lessons.question import Number
from tests.patience import PATIENCE_S

TEACHER, LEARNERS = "t", ("a", "b", "c")
QUICK_S = 0.01  # between looks, where a test waits for what they bring
LESSON = next(one for one in all_lessons() if isinstance(one.rounds[0].answer, Number))
ROUND = LESSON.rounds[0]
BEGAN = Deployed(0.0, deployment="colocated", roles=(("worker-0", "chunked"),), transport="shm")


class Classroom:
    """One class, as live updates need it. `begun`: its runs. `fails`: it can't be read."""

    def __init__(self, path: Path) -> None:
        file = RoomFile(path, {TEACHER})
        self.actions = ClassActions(file)
        self.games = Games(file)
        self._offers = Offers(file, lambda run: run.removesuffix("'s"))
        self.fails = False
        self.begun: Gathering | None = None
        self.presence = Presence()
        self.code = self.actions.open(TEACHER).code
        for learner in LEARNERS:
            self.actions.join(self.code, learner)
        self.actions.ask(self.code, TEACHER, LESSON.slug, ROUND.name)

    @property
    def offers(self) -> Offers:
        return self._offers if not self.fails else 1 / 0  # type: ignore[return-value]

    def headcount(self, room: Room) -> int:
        return self.actions.headcount(room, lambda learner: self.presence.here(digest(learner)))

    def gathering(self, room: Room, lesson: Lesson, asked: Round) -> Gathering | None:
        return self.begun

    def room(self) -> Room:
        room = self.actions.room(self.code)
        assert room is not None
        return room

    def now(self) -> Stand:
        return stand(self, self.room())

    def where(self, sees: Sees, learner: str = "") -> str:
        return look_at(self, self.room()).at(sees, digest(learner) if learner else "")

    def vote(self, learner: str) -> None:
        room = self.room()
        assert room.question is not None
        assert isinstance(ROUND.answer, Number)
        self.actions.cast(self.code, learner, room.question, ROUND, Guess((ROUND.answer.low,), "sure"))

    def show_counts(self) -> None:
        self.actions.show_counts(self.code, TEACHER)


@pytest.fixture
def group(tmp_path: Path) -> Classroom:
    """A class of three learners that is at a question."""
    return Classroom(tmp_path / "class.sqlite")


# ---- how a class stands


def test_a_vote_changes_what_is_said_and_not_where_the_class_is(group: Classroom) -> None:
    before = group.now()
    group.vote("a")
    after = group.now()
    assert before.says.startswith("0 of 3 have voted")
    assert after.says.startswith("1 of 3 have voted")
    assert after.at == before.at


def test_who_has_no_page_open_any_more_is_not_waited_for_unless_they_have_voted(group: Classroom) -> None:
    now_s = [0.0]
    group.presence = Presence(lambda: now_s[0])
    assert group.now().says.startswith("0 of 3 have voted")
    group.vote("a")
    with group.presence.page(digest("b")):
        now_s[0] = AWAY_S + 1
        assert group.now().says.startswith("1 of 2 have voted")  # a has voted, b is here, c is neither
        members = group.where("members")
        group.presence.saw(digest("c"))
        assert group.now().says.startswith("1 of 3 have voted")
        assert group.where("members") != members
    now_s[0] += AWAY_S - 1
    assert group.now().says.startswith("1 of 3 have voted"), "a page that is reloaded, or a phone that sleeps"
    now_s[0] += 2
    assert group.now().says.startswith("1 of 1 have voted")


def test_every_act_of_the_instructor_takes_the_class_somewhere_else(group: Classroom) -> None:
    acts: list[Callable[[], None]] = [
        lambda: group.show_counts(),
        lambda: group.actions.vote_again(group.code, TEACHER),
        lambda: group.actions.show_answer(group.code, TEACHER, Key((42.0,), (42.0,), (42.0,)), "a machine"),
        lambda: group.actions.set_pace(group.code, TEACHER, "free"),
        lambda: group.actions.reset(group.code, TEACHER),
    ]
    places = [group.now().at]
    for act in acts:
        act()
        places.append(group.now().at)
    assert len(set(places)) == len(places)


def test_an_offer_is_news_to_its_learner_and_to_the_instructor_s_list_alone(group: Classroom) -> None:
    acts: list[Callable[[], None]] = [
        lambda: group.offers.offer("a", ["a's"]),
        lambda: group.offers.decline(group.code, TEACHER, 1),
        lambda: group.offers.take_back("a"),
    ]
    for act in acts:
        views: list[tuple[Sees, str]] = [
            ("page", "a"),
            ("away", "a"),
            ("offers", ""),
            ("page", "b"),
            ("", ""),
            ("members", ""),
        ]
        before = [group.where(*view) for view in views]
        act()
        after = [group.where(*view) for view in views]
        assert [old != new for old, new in zip(before, after, strict=True)] == [True, True, True, False, False, False]


def test_what_is_on_the_wall_is_news_to_all_of_the_class(group: Classroom) -> None:
    group.offers.offer("a", ["a's"])
    before = [group.where("page", "b"), group.where("")]
    group.offers.put_up(group.code, TEACHER, 1)
    assert not set(before) & {group.where("page", "b"), group.where("")}


def test_who_is_elsewhere_hears_only_whether_the_class_is_at_a_question(group: Classroom) -> None:
    at_it = group.where("away", "a")
    group.show_counts()
    assert group.where("away", "a") == at_it
    group.actions.set_pace(group.code, TEACHER, "free")
    assert group.where("away", "a") != at_it


def test_the_list_of_members_changes_with_who_comes_and_goes_and_with_nothing_else(group: Classroom) -> None:
    lists = [group.where("members")]
    group.vote("a")
    assert group.where("members") == lists[0]
    for act in (
        lambda: group.actions.join(group.code, "d"),
        lambda: group.actions.join(group.code, "d", "Dora"),
        lambda: group.actions.leave("d"),
    ):
        act()
        lists.append(group.where("members"))
    assert len(set(lists)) == 4


def runs_of(*names: str) -> EngineClient:
    """An engine with runs that nothing has happened in yet."""
    feed = RunFeed(lambda act: act())
    for name in names:
        feed.add(Run(name, Scenario()))
    return EngineClient(EngineSettings(), feed)


def gathering_of(engine: EngineClient, watched: str, id: str = "one") -> Any:
    """Runs that are under way."""
    on: Any = SimpleNamespace(id=id, run="", watched=watched, stopped="", complete=False, measuring=True, waits=False)
    on.done, on.total, on.engine, on.on, on.disturbed = 1, 3, engine, on, False
    return on


def test_the_first_run_is_news_to_the_instructor_s_page_alone(group: Classroom) -> None:
    """To the others the runs come over the line. What begins must not draw five hundred pages anew."""
    engine = runs_of("first", "second")

    def goes_on(watched: str, gathering: str = "one") -> list[str]:
        group.begun = gathering_of(engine, watched, gathering)
        return [group.where(*view) for view in views]

    group.actions.run(group.code, TEACHER)
    views: list[tuple[Sees, str]] = [
        ("", ""),
        ("page", "a"),
        ("wall", ""),
        ("away", "a"),
        ("offers", ""),
        ("members", ""),
    ]
    none, first, second, anew = goes_on(""), goes_on("first"), goes_on("second"), goes_on("second", "another")
    assert [old != new for old, new in zip(none, first, strict=True)] == [True, *[False] * 5]
    assert first == second
    assert [old != new for old, new in zip(second, anew, strict=True)] == [True, *[False] * 5]


def test_nothing_of_the_answer_is_said(group: Classroom) -> None:
    group.actions.show_answer(group.code, TEACHER, Key((1234.5,), (1234.5,), (1234.5,)), "a machine")
    assert "1234" not in "".join(map(str, group.now()))


# ---- over a socket


class Line:
    """The socket of one page. What it is told is either heard or still there when it leaves."""

    def __init__(self, group: Classroom, updates: LiveUpdates, at: str = "", more: str = "", me: str = "") -> None:
        scope = {"type": "websocket", "path": "/", "headers": [], "query_string": f"room={group.code}{more}".encode()}
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._unheard: list[dict[str, Any]] = []  # told while something else was waited for
        self._said.put_nowait({"type": "websocket.connect"})
        self.say(text=json.dumps({"at": at}))
        self._task = asyncio.create_task(updates.follow(WebSocket(scope, self._said.get, self._put), me))  # type: ignore[arg-type]

    async def _put(self, message: dict[str, Any]) -> None:
        self._told.put_nowait(json.loads(message.get("text") or "{}") | message)

    async def hear(self, key: str) -> Any:
        """The next message with that key; those before it stay unheard."""
        async with asyncio.timeout(PATIENCE_S):
            while key not in (told := await self._told.get()):
                self._unheard.append(told)
            return told[key]

    def unheard(self, key: str) -> list[Any]:
        """What it was told under that key and has not heard."""
        self._unheard += [self._told.get_nowait() for _ in range(self._told.qsize())]
        return [told[key] for told in self._unheard if key in told]

    def say(self, **frame: object) -> None:
        self._said.put_nowait({"type": "websocket.receive", **frame})

    async def gone(self) -> None:
        """Until the lab has hung up; raises what went wrong there."""
        await self._task

    async def leave(self) -> None:
        """Hang up, and wait until the lab has done so too."""
        self._said.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self._task


def updates(group: Classroom, *, line_s: float = QUICK_S) -> LiveUpdates:
    return LiveUpdates(Looks(group, QUICK_S), page_of, wall_of, QUICK_S, line_s)


def page_of(learner: str) -> dict[str, str]:
    return {"of": learner}


def wall_of(code: str) -> dict[str, str]:
    return {"wall": code}


def test_a_learner_s_page_is_sent_at_first_and_whenever_it_says_something_else(group: Classroom) -> None:
    async def act() -> None:
        live = updates(group)
        mine, other = (Line(group, live, "", "&sees=page", me) for me in "ab")
        for line, me in ((mine, "a"), (other, "b")):
            assert await line.hear("page") == {"of": me}
        group.vote("a")  # in another tab
        assert await mine.hear("page") == {"of": "a"}
        group.show_counts()
        for line in (mine, other):
            await line.hear("page")
        group.actions.remove(group.code, TEACHER, 2)
        assert await other.hear("page") == {"of": "b"}
        for line in (mine, other):
            await line.leave()
            assert line.unheard("page") == []

    asyncio.run(act())


def test_the_wall_is_sent_at_first_and_whenever_the_class_goes_on_and_hears_every_second_how_it_stands(
    group: Classroom,
) -> None:
    async def act() -> None:
        line = Line(group, updates(group), "", "&sees=wall")
        assert await line.hear("page") == {"wall": group.code}
        group.vote("a")
        while not (await line.hear("says")).startswith("1 of 3"):
            pass
        assert line.unheard("page") == []
        group.show_counts()
        assert await line.hear("page") == {"wall": group.code}
        group.actions.delete(group.code, TEACHER)
        assert await line.hear("code") == UNKNOWN_CLASS
        await line.gone()

    asyncio.run(act())


@pytest.mark.parametrize("sees", ["page", "wall"])
def test_a_light_page_hears_the_runs_after_the_page_that_has_a_place_for_them(group: Classroom, sees: str) -> None:
    async def act() -> None:
        engine = runs_of("first", "other")
        line = Line(group, updates(group), "", f"&sees={sees}", "a")
        await line.hear("page")
        group.actions.run(group.code, TEACHER)
        group.begun = gathering_of(engine, "first")
        assert (await line.hear("kitchen"))["run"] == "first"
        assert len(line.unheard("page")) == 1, "one for what the instructor did, none for the run"
        run = engine.run("first")
        assert run
        run.happened([BEGAN], 0.0)
        assert [motion["kind"] for motion in await line.hear("motions")] == ["deployed"]
        again = group.begun = gathering_of(engine, "other", "anew")  # the instructor wants the runs made once more
        assert (await line.hear("kitchen"))["run"] == "other"
        again.complete = True
        for ends in (run, engine.run("other")):
            assert ends
            ends.end()
        assert (await line.hear("over"), await line.hear("over")) == (True, True), "of the run, and of all"
        await line.leave()
        assert line.unheard("over") == [], "the runs that were given up send nothing more"

    asyncio.run(act())


def test_who_comes_in_the_middle_of_a_run_hears_it_from_the_start(group: Classroom) -> None:
    async def act() -> None:
        engine = runs_of("first")
        group.actions.run(group.code, TEACHER)
        group.begun = gathering_of(engine, "first")
        run = engine.run("first")
        assert run
        run.happened([BEGAN], 0.0)
        line = Line(group, updates(group), "", "&sees=page", "a")
        assert await line.hear("motions")
        assert [key for told in line._unheard for key in told if key in ("page", "kitchen")] == ["page", "kitchen"]
        await line.leave()

    asyncio.run(act())


def test_a_page_is_told_once_when_the_class_goes_on(group: Classroom) -> None:
    async def act() -> None:
        line = Line(group, updates(group), group.now().at)
        assert (await line.hear("says")).startswith("0 of 3")
        group.vote("a")
        assert (await line.hear("says")).startswith("1 of 3")
        group.show_counts()
        told = await line.hear("anew")
        assert told == group.now().at
        line.say(text=json.dumps({"at": told}))
        group.actions.vote_again(group.code, TEACHER)
        assert await line.hear("anew") == group.now().at != told
        await line.leave()
        assert line.unheard("anew") == []

    asyncio.run(act())


def test_a_page_that_is_where_the_class_is_is_left_alone(group: Classroom) -> None:
    async def act() -> None:
        line = Line(group, updates(group), group.now().at)
        for learner in LEARNERS:
            group.vote(learner)
            await line.hear("says")
        await line.leave()
        assert line.unheard("anew") == []

    asyncio.run(act())


def test_a_list_of_offers_hears_of_offers_and_nothing_else(group: Classroom) -> None:
    async def act() -> None:
        line = Line(group, updates(group), group.where("offers"), "&sees=offers&leads=1")
        group.vote("b")
        group.show_counts()
        group.offers.offer("a", ["a's"])
        assert await line.hear("anew") == group.where("offers")
        await line.leave()
        assert (line.unheard("says"), line.unheard("anew")) == ([], [])

    asyncio.run(act())


def test_a_learner_elsewhere_hears_what_became_of_the_own_offer(group: Classroom) -> None:
    async def act() -> None:
        group.offers.offer("a", ["a's"])
        live = updates(group)
        mine, other = (Line(group, live, group.where("away", one), f"&sees=away&own={digest(one)}") for one in "ab")
        group.offers.decline(group.code, TEACHER, 1)
        assert await mine.hear("anew") == group.where("away", "a")
        for line in (mine, other):
            await line.leave()
            assert line.unheard("anew") == []

    asyncio.run(act())


def test_a_learner_is_not_told_of_every_single_vote_and_who_leads_is(group: Classroom) -> None:
    async def act() -> None:
        at, live = group.now().at, updates(group, line_s=60.0)
        learner, instructor = Line(group, live, at), Line(group, live, at, "&leads=1")
        await learner.hear("says")
        for voted in range(4):
            assert (await instructor.hear("says")).startswith(f"{voted} of 3")
            if voted < 3:
                group.vote(LEARNERS[voted])
        for line in (instructor, learner):
            await line.leave()
        assert learner.unheard("says") == []

    asyncio.run(act())


@pytest.mark.parametrize("frame", [{"text": "no JSON"}, {"bytes": b"\xff\x00"}, {"text": '{"at": 7}'}, {"text": "[]"}])
def test_nonsense_is_not_heard(group: Classroom, frame: dict[str, object]) -> None:
    async def act() -> None:
        line = Line(group, updates(group), group.now().at)
        line.say(**frame)
        await line.hear("says")
        group.show_counts()
        assert await line.hear("anew") == group.now().at
        await line.leave()
        assert line.unheard("anew") == []

    asyncio.run(act())


def test_the_pages_of_a_class_that_was_deleted_rerun_and_are_hung_up_on(group: Classroom) -> None:
    async def act() -> None:
        line = Line(group, updates(group), group.now().at)
        await line.hear("says")
        group.actions.delete(group.code, TEACHER)
        assert await line.hear("anew") == ""
        assert await line.hear("code") == UNKNOWN_CLASS
        await line.leave()

    asyncio.run(act())


def test_who_comes_back_after_a_look_has_failed_is_told_again(group: Classroom) -> None:
    """No page stays with a class that nobody watches any more: it is hung up on, and its browser reconnects."""

    async def act() -> None:
        live = updates(group)
        pages = [Line(group, live, group.now().at) for _ in range(2)]
        for page in pages:
            await page.hear("says")
        group.fails = True
        for page in pages:
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(page.gone(), PATIENCE_S)
        group.fails = False
        again = Line(group, live, group.now().at)
        await again.hear("says")
        group.vote("a")
        assert (await again.hear("says")).startswith("1 of 3")
        await again.leave()

    asyncio.run(act())


# ---- in virtual time


class VirtualTime:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.clock = UpdateClock(lambda: self.now_s, self._sleep)
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def _sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.now_s + seconds, woken))
        await woken.wait()

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        for until_s, woken in self._sleepers:
            if until_s <= self.now_s:
                woken.set()
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].is_set()]


class CountedLooks(Looks):
    """`asked`: how often anybody has asked for a look. `made`: how often one was made."""

    asked = made = _inside = 0

    async def look(self, code: str) -> Look | None:
        self.asked += 1
        self._inside += 1
        try:
            return await super().look(code)
        finally:
            self._inside -= 1

    def _look(self, code: str) -> Look | None:
        self.made += 1
        return super()._look(code)

    async def settled(self) -> None:
        """Until everybody waits for time, for a page or for the class; looks are made in a thread."""
        before = -1
        while self._inside or self.asked != before:
            before = self.asked
            for _ in range(50):
                await asyncio.sleep(0)


def test_a_class_is_looked_at_once_for_all_its_pages(group: Classroom) -> None:
    async def act() -> None:
        looks = CountedLooks(group)
        await asyncio.gather(*(looks.look(group.code) for _ in range(20)))
        assert (looks.asked, looks.made) == (20, 1)

    asyncio.run(act())


def test_pages_that_are_where_their_class_is_do_not_look(group: Classroom) -> None:
    async def act() -> None:
        virtual = VirtualTime()
        looks = CountedLooks(group, LOOK_S, virtual.clock)
        live = LiveUpdates(looks, page_of, wall_of, clock=virtual.clock)
        lines = [Line(group, live, group.now().at) for _ in range(20)]
        for line in lines:
            await line.hear("says")
        await looks.settled()

        async def asked_in(ticks: int) -> int:
            before = looks.asked
            for _ in range(ticks):
                virtual.advance(LOOK_S)
                await looks.settled()
            return looks.asked - before

        assert await asked_in(10) == 10  # the class's own task, and no page
        group.vote("a")
        before = looks.asked
        await asked_in(1)
        for line in lines:  # each page looks in a thread, in its own time
            assert (await line.hear("says")).startswith("1 of 3")
        assert looks.asked - before == 1 + len(lines)
        for line in lines:
            await line.leave()
        assert await asked_in(10) == 0  # nobody follows any more

    asyncio.run(act())


def test_a_page_that_is_newer_than_what_was_seen_is_left_alone(group: Classroom) -> None:
    """The class has gone on and the page with it, before the next look at the class."""

    async def act() -> None:
        virtual = VirtualTime()
        looks = CountedLooks(group, LOOK_S, virtual.clock)
        live = LiveUpdates(looks, page_of, wall_of, line_s=0.0, clock=virtual.clock)
        await looks.look(group.code)
        group.show_counts()
        line = Line(group, live, group.now().at)
        assert "talk it over" not in await line.hear("says")
        await looks.settled()
        virtual.advance(LOOK_S)
        assert "talk it over" in await line.hear("says")
        await line.leave()
        assert line.unheard("anew") == []

    asyncio.run(act())
