"""What a lesson's page and its kitchen hear while the runs are made."""

import asyncio
import json
import os
from typing import Any

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from lab.course.evidence_runs import Gathering, Part, Shared
from lab.course.gathering_feed import RESTS, follow, runs, shown
from lab.course.single_flight import SingleFlight
from lab.runs.lru import LRU
from tests.lab.course.test_evidence_runs import ASKED, AtOnce, Engine


class Page(WebSocket):
    """A page at the other end that says once what it shows, and goes once it has heard enough."""

    def __init__(self, at: str, enough: int) -> None:
        super().__init__({"type": "websocket"}, self._nothing, self._ignore)
        self.heard: list[dict[str, Any]] = []
        self.code = 0
        self._at, self._enough = at, enough
        self._gone = asyncio.Event()

    async def accept(self, *_: object, **__: object) -> None:
        pass

    async def send_json(self, data: Any, mode: str = "text") -> None:
        self.heard.append(data)
        if len(self.heard) == self._enough:
            self._gone.set()

    async def receive_text(self) -> str:
        if self._at:
            at, self._at = self._at, ""
            return json.dumps({"at": at})
        await self._gone.wait()
        raise WebSocketDisconnect

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.code = code

    async def _nothing(self) -> Any: ...

    async def _ignore(self, _: object) -> None: ...


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def gathering(engine: Engine) -> Gathering:
    return Gathering(Shared(engine, LRU(10), SingleFlight(), AtOnce), [Part(ASKED, 0.0, 0)], "me")


def heard(gathering: Gathering, *, here: bool = False) -> list[dict[str, Any]]:
    """By its kitchen, while it advances."""

    async def listen() -> list[dict[str, Any]]:
        messages = []
        gathering.advance()
        async for message in runs(gathering, here=here):
            messages.append(json.loads(message))
            if "over" in messages[-1]:
                gathering.advance()
        return messages

    return asyncio.run(listen())


def test_an_open_page_hears_of_the_first_run_and_of_the_end(gathering: Gathering) -> None:
    page = Page(at=shown(gathering), enough=20)
    gathering.engine.waits = True  # type: ignore[attr-defined]

    async def visit() -> None:
        following = asyncio.create_task(follow(page, gathering, look_s=0.001))
        while not any("anew" in said for said in page.heard):
            await asyncio.sleep(0.001)
        assert not gathering.complete
        run = gathering.engine.run(gathering.run)
        assert run
        gathering.engine.waits, run.over = False, True  # type: ignore[attr-defined]
        while len([said for said in page.heard if "anew" in said]) < 2:
            await asyncio.sleep(0.001)
        page._gone.set()
        await following

    asyncio.run(visit())
    assert gathering.complete
    said = [one["says"] for one in page.heard if "says" in one]
    assert said[0].startswith("Run 1 of 3")
    assert [one["anew"] for one in page.heard if "anew" in one][-1] == shown(gathering)


def test_without_a_page_nothing_is_asked_for(gathering: Gathering, engine: Engine) -> None:
    page = Page(at="", enough=0)
    page._gone.set()
    asyncio.run(follow(page, gathering))
    assert engine.made == []


def test_a_page_whose_runs_are_no_longer_there_is_told_to_rerun() -> None:
    page = Page(at="x", enough=0)
    asyncio.run(follow(page, None))
    assert page.heard == [{"anew": "over"}]
    assert page.code == 4404


def test_the_kitchen_hears_one_run_after_another(gathering: Gathering) -> None:
    told = heard(gathering)
    assert [one["kitchen"]["run"] for one in told if "kitchen" in one] == ["run-0", "run-1", "run-2"]
    assert [one for one in told if "over" in one] == [{"over": True, "more": True}] * 3 + [{"over": True}]


def test_where_no_core_is_free_for_a_browser_the_picture_rests_once_a_run_was_disturbed(
    gathering: Gathering, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    engine.noise = [0.5]
    told = heard(gathering, here=True)
    assert [one["kitchen"]["run"] for one in told if "kitchen" in one] == ["run-0"]
    assert told[-1] == {"over": True, "note": RESTS}


def test_who_comes_after_that_sees_one_run_and_not_an_empty_kitchen(
    gathering: Gathering, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    engine.noise = [0.5]
    while not gathering.disturbed:
        gathering.advance()
    told = heard(gathering, here=True)
    assert len([one for one in told if "kitchen" in one]) == 1
    assert told[-1] == {"over": True, "note": RESTS}


@pytest.mark.parametrize(("here", "cores"), [(False, 1), (True, 64)])
def test_elsewhere_or_with_cores_to_spare_it_shows_all_attempts(
    here: bool, cores: int, gathering: Gathering, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    engine.noise = [0.5]
    assert len([one for one in heard(gathering, here=here) if "kitchen" in one]) == 4


def test_the_last_run_is_still_there_to_see_between_two(gathering: Gathering) -> None:
    """Else the page would take the kitchen away whenever it waits for a lull."""
    gathering.advance()
    before = shown(gathering)
    gathering.stop()
    assert gathering.run == ""
    assert shown(gathering).split()[0] == before.split()[0] == "True"
