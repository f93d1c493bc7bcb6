"""A run of a page that has ended in its thread, and is not yet sent, when a fragment asks to be drawn."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData

from lab.web.streamlit_fixes import deliver_before_rerun

FRAGMENT = RerunData(fragment_id="clock")


class Runner:
    """Streamlit's, as far as it is asked: does it take one more?"""

    def __init__(self, takes: bool) -> None:
        self.takes = takes
        self.taken: list[RerunData] = []

    def request_rerun(self, asked: RerunData) -> bool:
        if self.takes:
            self.taken.append(asked)
        return self.takes


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[RerunData]:
    """What runners were made for."""
    made: list[RerunData] = []
    monkeypatch.setattr(AppSession, "_create_scriptrunner", lambda session, asked: made.append(asked))
    deliver_before_rerun()
    return made


def ask(session: Any, meanwhile: Callable[[Any], None]) -> None:
    async def asked() -> None:
        session._event_loop = asyncio.get_running_loop()
        AppSession._create_scriptrunner(session, FRAGMENT)
        meanwhile(session)
        turns = asyncio.Event()
        session._event_loop.call_later(0.05, turns.set)
        await turns.wait()

    asyncio.run(asked())


def session(runner: Runner | None) -> Any:
    return SimpleNamespace(_scriptrunner=runner, _state=AppSessionState.APP_IS_RUNNING)


def test_without_a_runner_one_is_made_at_once(created: list[RerunData]) -> None:
    ask(session(None), lambda _: None)
    assert created == [FRAGMENT]


def test_a_runner_that_is_not_sent_is_not_replaced(created: list[RerunData]) -> None:
    ask(session(Runner(takes=False)), lambda _: None)
    assert created == []


def test_once_it_is_sent_the_fragment_has_its_own(created: list[RerunData]) -> None:
    def sent(session: Any) -> None:
        assert created == []
        session._scriptrunner = None

    ask(session(Runner(takes=False)), sent)
    assert created == [FRAGMENT]


def test_a_runner_that_came_meanwhile_takes_it(created: list[RerunData]) -> None:
    other = Runner(takes=True)
    ask(session(Runner(takes=False)), lambda session: setattr(session, "_scriptrunner", other))
    assert (created, other.taken) == ([], [FRAGMENT])


def test_who_has_left_is_drawn_nothing(created: list[RerunData]) -> None:
    def leave(session: Any) -> None:
        session._scriptrunner, session._state = None, AppSessionState.SHUTDOWN_REQUESTED

    ask(session(Runner(takes=False)), leave)
    assert created == []
