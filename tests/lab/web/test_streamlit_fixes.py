"""What the lab changes inside Streamlit, on its real classes, and that the lab starts where a private name is gone."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime, RuntimeConfig
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.script_data import ScriptData
from streamlit.runtime.scriptrunner.script_cache import ScriptCache

from lab.web.streamlit_fixes import deliver_before_rerun, fix_streamlit
from tests.patience import PATIENCE_S

PAGE = """
import streamlit as st

@st.fragment(run_every=60.0)
def clock():
    st.write("a fragment")

clock()
st.write("the page's last words")
"""


@pytest.fixture(autouse=True)
def streamlit_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AppSession, "_create_scriptrunner", AppSession._create_scriptrunner)
    monkeypatch.setattr(Runtime, "_instance", None)
    return


class Session:
    """A real session of a real page, whose messages the test reads instead of a browser."""

    def __init__(self, folder: Path) -> None:
        script = folder / "page.py"
        script.write_text(PAGE)
        files = MemoryUploadedFileManager("/upload")
        Runtime(RuntimeConfig(str(script), MemoryMediaFileStorage("/media"), files))  # sessions look for it
        data = ScriptData(str(script), is_hello=False)
        self.session: Any = AppSession(data, files, ScriptCache(), lambda: None, {})
        self.sent: list[ForwardMsg] = []

    def ends_before_anything_is_processed(self) -> None:
        """Run the page in its thread, while the event loop, whose thread this is, processes none of its events."""
        self.session.request_rerun(ClientState())
        self.session._scriptrunner._script_thread.join(PATIENCE_S)

    def ask_fragment(self) -> None:
        (fragment,) = self.session._fragment_storage._fragments
        self.session.request_rerun(ClientState(fragment_id=fragment, is_auto_rerun=True))

    async def finished(self, what: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while what not in [one.script_finished for one in self._messages("script_finished")]:
                await asyncio.sleep(0)

    def words(self) -> list[str]:
        bodies = (one.delta.new_element.markdown.body for one in self._messages("delta"))
        return [body for body in bodies if body]

    def _messages(self, kind: str) -> list[ForwardMsg]:
        self.sent += self.session.flush_browser_queue()
        return [message for message in self.sent if message.WhichOneof("type") == kind]


def what_is_sent(folder: Path) -> list[str]:
    """The words that a browser gets when a fragment asks for a rerun just after the page has ended in its thread."""

    async def race() -> list[str]:
        page = Session(folder)
        page.ends_before_anything_is_processed()
        page.ask_fragment()
        await page.finished(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
        words = page.words()
        page.session.shutdown()
        return words

    return asyncio.run(race())


def test_streamlit_alone_loses_the_page(tmp_path: Path) -> None:
    """The day this fails, `deliver_before_rerun` can go."""
    assert "the page's last words" not in what_is_sent(tmp_path)


def test_what_a_page_has_drawn_is_sent_before_its_fragment_reruns(tmp_path: Path) -> None:
    deliver_before_rerun()
    assert what_is_sent(tmp_path) == ["a fragment", "the page's last words", "a fragment"]


def test_a_session_that_is_shut_down_reruns_nothing(tmp_path: Path) -> None:
    async def leave() -> None:
        page = Session(tmp_path)
        page.ends_before_anything_is_processed()
        page.ask_fragment()
        page.session.shutdown()
        runner = page.session._scriptrunner
        await asyncio.sleep(0.05)  # longer than between two checks
        assert page.session._scriptrunner in (None, runner)

    deliver_before_rerun()
    asyncio.run(leave())


def test_the_lab_starts_without_a_private_name_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(AppSession, "_create_scriptrunner")
    with caplog.at_level(logging.WARNING):
        fix_streamlit()
    (said,) = caplog.messages
    assert "does not allow a fix" in said
    assert "_create_scriptrunner" in said


def test_an_attribute_that_sessions_no_longer_have_is_missed_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without_a_runner(self: AppSession) -> None:
        self._state = self._event_loop = None  # type: ignore[assignment]

    create = AppSession._create_scriptrunner
    monkeypatch.setattr(AppSession, "__init__", without_a_runner)
    fix_streamlit()
    assert "AppSession has no _scriptrunner" in caplog.text
    assert AppSession._create_scriptrunner is create
