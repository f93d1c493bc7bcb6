"""What pages of a class hear of it: how it stands, and when to be drawn anew; and not all in the same moment."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.websockets import WebSocket

from lab.classroom import live_updates as pulse
from lab.classroom.actions import Rooms
from lab.classroom.live_updates import UNKNOWN_CLASS, Look, Looks, Sees, Stand, Turns, digest, follow, look_at, stand
from lab.classroom.offers import Offers
from lab.classroom.store import Room, RoomFile
from lessons import all_lessons
from lessons.book import Guess
from lessons.keys import Key
from lessons.question import Number
from tests.patience import PATIENCE_S

TEACHER, LEARNERS = "t", ("a", "b", "c")
LESSON = next(one for one in all_lessons() if isinstance(one.rounds[0].answer, Number))
ROUND = LESSON.rounds[0]


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rooms:
    file = RoomFile(tmp_path / "class.sqlite", {TEACHER})
    kept, offered = Rooms(file), Offers(file, lambda run: run.removesuffix("'s"))
    monkeypatch.setattr(pulse, "rooms", lambda: kept)
    monkeypatch.setattr(pulse, "offers", lambda: offered)
    monkeypatch.setattr(pulse, "TURNS", Turns(pulse.PAGE_S))  # an event loop's own
    return kept


@pytest.fixture
def code(rooms: Rooms) -> str:
    """Of a class with three learners that is at a question."""
    room = rooms.open(TEACHER)
    for learner in LEARNERS:
        rooms.join(room.code, learner)
    rooms.ask(room.code, TEACHER, LESSON.slug, ROUND.name)
    return room.code


def vote(rooms: Rooms, code: str, learner: str) -> None:
    room = rooms.room(code)
    assert room is not None
    assert room.question is not None
    assert isinstance(ROUND.answer, Number)
    rooms.cast(code, learner, room.question, ROUND, Guess((ROUND.answer.low,), "sure"))


def now(rooms: Rooms, code: str) -> Stand:
    room = rooms.room(code)
    assert room is not None
    return stand(room)


# ---- how a class stands


def test_a_vote_changes_what_is_said_and_not_where_the_class_is(rooms: Rooms, code: str) -> None:
    before = now(rooms, code)
    vote(rooms, code, "a")
    after = now(rooms, code)
    assert before.says.startswith("0 of 3 have voted")
    assert after.says.startswith("1 of 3 have voted")
    assert after.at == before.at


def test_every_act_of_the_instructor_takes_the_class_somewhere_else(rooms: Rooms, code: str) -> None:
    acts: list[Callable[[], None]] = [
        lambda: rooms.show_counts(code, TEACHER),
        lambda: rooms.vote_again(code, TEACHER),
        lambda: rooms.show_answer(code, TEACHER, Key((42.0,), (42.0,), (42.0,)), "a machine"),
        lambda: rooms.set_pace(code, TEACHER, "free"),
        lambda: rooms.reset(code, TEACHER),
    ]
    places = [now(rooms, code).at]
    for act in acts:
        act()
        places.append(now(rooms, code).at)
    assert len(set(places)) == len(places)


def where(rooms: Rooms, code: str, sees: Sees, learner: str = "") -> str:
    room = rooms.room(code)
    assert room is not None
    return look_at(room).at(sees, digest(learner) if learner else "")


def test_an_offer_is_news_to_its_learner_and_to_the_instructor_s_list_alone(rooms: Rooms, code: str) -> None:
    acts: list[Callable[[], None]] = [
        lambda: pulse.offers().offer("a", ["a's"]),
        lambda: pulse.offers().decline(code, TEACHER, 1),
        lambda: pulse.offers().take_back("a"),
    ]
    for act in acts:
        views: list[tuple[Sees, str]] = [("", "a"), ("away", "a"), ("offers", ""), ("", "b"), ("", ""), ("members", "")]
        before = [where(rooms, code, *view) for view in views]
        act()
        after = [where(rooms, code, *view) for view in views]
        assert [old != new for old, new in zip(before, after, strict=True)] == [True, True, True, False, False, False]


def test_what_is_on_the_wall_is_news_to_all_of_the_class(rooms: Rooms, code: str) -> None:
    pulse.offers().offer("a", ["a's"])
    before = where(rooms, code, "", "b")
    pulse.offers().put_up(code, TEACHER, 1)
    assert where(rooms, code, "", "b") != before


def test_who_is_elsewhere_hears_only_whether_the_class_is_at_a_question(rooms: Rooms, code: str) -> None:
    at_it = where(rooms, code, "away", "a")
    rooms.show_counts(code, TEACHER)
    assert where(rooms, code, "away", "a") == at_it
    rooms.set_pace(code, TEACHER, "free")
    assert where(rooms, code, "away", "a") != at_it


def test_the_list_of_members_changes_with_who_comes_and_goes_and_with_nothing_else(rooms: Rooms, code: str) -> None:
    lists = [where(rooms, code, "members")]
    vote(rooms, code, "a")
    assert where(rooms, code, "members") == lists[0]
    for act in (lambda: rooms.join(code, "d"), lambda: rooms.join(code, "d", "Dora"), lambda: rooms.leave("d")):
        act()
        lists.append(where(rooms, code, "members"))
    assert len(set(lists)) == 4


def test_the_next_run_is_news_to_who_leads_and_to_the_part_that_shows_it(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(run: str) -> None:
        on = SimpleNamespace(run=run, stopped="", measuring=False, done=1, total=3)
        monkeypatch.setattr(pulse, "gathering", lambda *_: on)

    monkeypatch.setattr(pulse, "says", lambda _: "Run 2 of 3")
    rooms.run(code, TEACHER)
    begun("first")
    views: list[tuple[Sees, str]] = [("run", ""), ("", ""), ("", "a"), ("away", "a"), ("offers", ""), ("members", "")]
    before = [where(rooms, code, *view) for view in views]
    begun("second")
    after = [where(rooms, code, *view) for view in views]
    assert [old != new for old, new in zip(before, after, strict=True)] == [True, True, False, False, False, False]


def test_nothing_of_the_answer_is_said(rooms: Rooms, code: str) -> None:
    rooms.show_answer(code, TEACHER, Key((1234.5,), (1234.5,), (1234.5,)), "a machine")
    assert "1234" not in "".join(map(str, now(rooms, code)))


# ---- one after the other


def test_turns_lie_apart_and_who_comes_alone_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = [100.0]
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(max(0.0, seconds))
        clock_s[0] += waits[-1]

    async def three_and_one_later() -> None:
        turns = Turns(0.5, lambda: False)
        await asyncio.gather(*(turns.take() for _ in range(3)))
        clock_s[0] += 60
        await turns.take()

    monkeypatch.setattr(pulse.time, "monotonic", lambda: clock_s[0])
    monkeypatch.setattr(pulse.asyncio, "sleep", sleep)
    asyncio.run(three_and_one_later())
    assert waits == [0, 0.5, 0.5, 0]


def test_nobody_is_told_while_a_page_is_drawn_but_for_one_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(max(0.0, seconds))

    monkeypatch.setattr(pulse.asyncio, "sleep", sleep)
    drawing = iter([True, True, False])
    asyncio.run(Turns(0.0, lambda: next(drawing)).take())
    assert waits == [0, pulse.BUSY_S, pulse.BUSY_S]
    asyncio.run(Turns(0.0, lambda: True).take())
    assert len(waits) == 3 + 1 + pulse.BUSY_LOOKS


# ---- over a socket


class Line:
    """The socket of one page."""

    def __init__(self, code: str, at: str = "", more: str = "") -> None:
        scope = {"type": "websocket", "path": "/", "headers": [], "query_string": f"room={code}{more}".encode()}
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said.put_nowait({"type": "websocket.connect"})
        self.say(text=json.dumps({"at": at}))
        self._task = asyncio.create_task(follow(WebSocket(scope, self._said.get, self._heard.put)))  # type: ignore[arg-type]

    async def hear(self, key: str) -> Any:
        """The next thing of that name that it is told."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self._heard.get()
                told = json.loads(message.get("text") or "{}") | message
                if key in told:
                    return told[key]

    def say(self, **frame: object) -> None:
        self._said.put_nowait({"type": "websocket.receive", **frame})

    async def gone(self) -> None:
        """Until the lab has hung up; raises what went wrong there."""
        await self._task

    async def leave(self) -> list[dict[str, Any]]:
        """Hang up; what had not been heard until then."""
        self._said.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self._task
        return [self._heard.get_nowait() for _ in range(self._heard.qsize())]


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[None]], look_s: float = 0.01) -> None:
    monkeypatch.setattr(pulse, "LOOK_S", look_s)
    monkeypatch.setattr(pulse, "LINE_S", look_s)
    monkeypatch.setattr(pulse, "LOOKS", Looks())
    asyncio.run(act())


def test_a_page_is_told_once_when_the_class_goes_on(rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        line = Line(code, now(rooms, code).at)
        assert (await line.hear("says")).startswith("0 of 3")
        vote(rooms, code, "a")
        assert (await line.hear("says")).startswith("1 of 3")
        rooms.show_counts(code, TEACHER)
        told = await line.hear("anew")
        assert told == now(rooms, code).at
        line.say(text=json.dumps({"at": told}))
        rooms.vote_again(code, TEACHER)
        assert await line.hear("anew") == now(rooms, code).at != told
        assert not any("anew" in message.get("text", "") for message in await line.leave())

    meanwhile(monkeypatch, act)


def test_a_page_that_is_where_the_class_is_is_left_alone(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        line = Line(code, now(rooms, code).at)
        for learner in LEARNERS:
            vote(rooms, code, learner)
            await line.hear("says")
        assert not any("anew" in message.get("text", "") for message in await line.leave())

    meanwhile(monkeypatch, act)


def test_a_list_of_offers_hears_of_offers_and_nothing_else(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        line = Line(code, where(rooms, code, "offers"), "&sees=offers&leads=1")
        vote(rooms, code, "b")
        rooms.show_counts(code, TEACHER)
        pulse.offers().offer("a", ["a's"])
        assert await line.hear("anew") == where(rooms, code, "offers")
        assert not any("says" in message.get("text", "") for message in await line.leave())

    meanwhile(monkeypatch, act)


def test_a_learner_elsewhere_hears_what_became_of_the_own_offer(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        pulse.offers().offer("a", ["a's"])
        mine, other = (Line(code, where(rooms, code, "away", one), f"&sees=away&own={digest(one)}") for one in "ab")
        pulse.offers().decline(code, TEACHER, 1)
        assert await mine.hear("anew") == where(rooms, code, "away", "a")
        await mine.leave()
        assert not any("anew" in message.get("text", "") for message in await other.leave())

    meanwhile(monkeypatch, act)


def test_a_learner_is_not_told_of_every_single_vote_and_who_leads_is(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        monkeypatch.setattr(pulse, "LINE_S", 60.0)
        at = now(rooms, code).at
        learner, instructor = Line(code, at), Line(code, at, "&leads=1")
        await learner.hear("says")
        for line in range(4):
            assert (await instructor.hear("says")).startswith(f"{line} of 3")
            if line < 3:
                vote(rooms, code, LEARNERS[line])
        await instructor.leave()
        assert not any("says" in message.get("text", "") for message in await learner.leave())

    meanwhile(monkeypatch, act)


def test_who_leads_waits_for_nobody(rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        learners = [Line(code) for _ in range(20)]
        instructor = Line(code, more="&leads=1")
        await instructor.hear("anew")
        waiting = [learner for learner in learners if not await told(learner)]
        assert waiting
        for line in (*learners, instructor):
            await line.leave()

    async def told(line: Line) -> bool:
        return any("anew" in message.get("text", "") for message in list(line._heard._queue))  # type: ignore[attr-defined]

    monkeypatch.setattr(pulse, "TURNS", Turns(60.0))
    meanwhile(monkeypatch, act)


@pytest.mark.parametrize("frame", [{"text": "no JSON"}, {"bytes": b"\xff\x00"}, {"text": '{"at": 7}'}, {"text": "[]"}])
def test_nonsense_is_not_heard(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch, frame: dict[str, object]
) -> None:
    async def act() -> None:
        line = Line(code, now(rooms, code).at)
        line.say(**frame)
        await line.hear("says")
        rooms.show_counts(code, TEACHER)
        assert await line.hear("anew") == now(rooms, code).at
        await line.leave()

    meanwhile(monkeypatch, act)


def test_the_pages_of_a_class_that_was_deleted_are_drawn_anew_and_hung_up_on(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        line = Line(code, now(rooms, code).at)
        await line.hear("says")
        rooms.delete(code, TEACHER)
        assert await line.hear("anew") == ""
        assert await line.hear("code") == UNKNOWN_CLASS
        await line.leave()

    meanwhile(monkeypatch, act)


def test_a_class_is_looked_at_once_for_all_its_pages(rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Room] = []

    def look(room: Room) -> Stand:
        looked.append(room)
        return stand(room)

    async def act() -> None:
        looks = Looks()
        await asyncio.gather(*(looks.look(code) for _ in range(20)))

    monkeypatch.setattr(pulse, "stand", look)
    asyncio.run(act())
    assert len(looked) == 1


def test_pages_that_are_where_their_class_is_do_not_look(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Counted(Looks):
        async def look(self, code: str) -> Look | None:
            asked.append(code)
            return await super().look(code)

    async def act() -> None:
        monkeypatch.setattr(pulse, "LOOKS", Counted())
        lines = [Line(code, now(rooms, code).at) for _ in range(20)]
        for line in lines:
            await line.hear("says")
        await asyncio.sleep(0.1)
        asked.clear()
        await asyncio.sleep(0.5)
        assert 1 <= len(asked) <= 0.5 / pulse.LOOK_S + 1  # the class's own task, and no page
        vote(rooms, code, "a")
        for line in lines:
            assert (await line.hear("says")).startswith("1 of 3")
            await line.leave()
        asked.clear()
        await asyncio.sleep(0.1)
        assert asked == []  # nobody follows any more

    meanwhile(monkeypatch, act, look_s=0.05)


def test_a_page_that_is_newer_than_what_was_seen_is_left_alone(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class has gone on and the page with it, before the class was looked at once more."""

    async def act() -> None:
        await pulse.LOOKS.look(code)
        rooms.show_counts(code, TEACHER)
        line = Line(code, now(rooms, code).at)
        assert "talk it over" not in await line.hear("says")
        assert "talk it over" in await line.hear("says")
        assert not any("anew" in message.get("text", "") for message in await line.leave())

    meanwhile(monkeypatch, act, look_s=0.2)


def test_who_comes_back_after_a_look_has_failed_is_told_again(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page stays with a class that nobody watches any more: it is hung up on, and its browser dials anew."""

    async def act() -> None:
        pages = [Line(code, now(rooms, code).at) for _ in range(2)]
        for page in pages:
            await page.hear("says")
        with monkeypatch.context() as broken:
            broken.setattr(pulse, "look_at", lambda room: 1 / 0)
            for page in pages:
                with pytest.raises(ZeroDivisionError):
                    await asyncio.wait_for(page.gone(), PATIENCE_S)
        again = Line(code, now(rooms, code).at)
        await again.hear("says")
        vote(rooms, code, "a")
        assert (await again.hear("says")).startswith("1 of 3")
        await again.leave()

    meanwhile(monkeypatch, act)
