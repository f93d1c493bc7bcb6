"""What the lab changes inside Streamlit 1.67, all of it in this file.

Streamlit's private names may go at any update. Where one is missing, the lab starts without that change and says so in
its log. pyproject.toml pins the version; tests/lab/web/test_streamlit_fixes.py runs against the real classes.
"""

import importlib
import logging
from typing import Any

from streamlit.runtime import app_session
from streamlit.runtime.scriptrunner import RerunData

LOOK_S = 0.005  # between two checks whether a runner's events are processed, which takes a few milliseconds

log = logging.getLogger(__name__)


def fix_streamlit() -> None:
    """Apply every change that this version of Streamlit allows. Called once, before the first visitor."""
    try:
        deliver_before_rerun()
    except AttributeError as missing:
        log.warning("This version of Streamlit does not allow a fix: %s", missing)
    importlib.import_module("pandas")  # Plotly looks for it in sys.modules: two pages at once may find half of it


def deliver_before_rerun() -> None:
    """A stopped script runner is replaced only after all its events are processed.

    A page is drawn in a thread of its own; its messages wait for the event loop. If a fragment's timer asks for a rerun
    after the script has stopped and before the loop has processed its last events, Streamlit 1.67 creates a new runner
    and drops all events of the old one: the page stays as it was, for good.

    Leans on AppSession._create_scriptrunner, ._scriptrunner, ._state and ._event_loop.
    """
    session_class: Any = app_session.AppSession
    create, shutdown = session_class._create_scriptrunner, app_session.AppSessionState.SHUTDOWN_REQUESTED
    if gone := {"_scriptrunner", "_state", "_event_loop"} - set(session_class.__init__.__code__.co_names):
        raise AttributeError(f"AppSession has no {', '.join(sorted(gone))}")

    def create_then(session: Any, asked: RerunData) -> None:
        runner = session._scriptrunner
        if session._state == shutdown:
            return
        if runner is None:
            create(session, asked)
        elif not runner.request_rerun(asked):
            session._event_loop.call_later(LOOK_S, create_then, session, asked)

    session_class._create_scriptrunner = create_then
