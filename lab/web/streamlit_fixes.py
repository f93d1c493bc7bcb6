"""What a page has drawn is sent before it, or one of its fragments, is drawn anew.

A page is drawn in a thread of its own, and what it drew waits for the thread that sends. When a fragment's timer asks
just then, Streamlit 1.67 gives the fragment a new runner and takes nothing more from the old one, which has stopped.
The page stays as it was, for good: no results, no answer to a press.
"""

from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData

LOOK_S = 0.005  # between two looks whether all has been taken; it takes a few milliseconds


def deliver_first() -> None:
    """From now on a runner that has stopped is replaced only when the session has heard of it, and so of all before."""
    create = AppSession._create_scriptrunner

    def create_then(session: AppSession, asked: RerunData) -> None:
        runner = session._scriptrunner
        if session._state == AppSessionState.SHUTDOWN_REQUESTED:
            return
        if runner is None:
            create(session, asked)
        elif not runner.request_rerun(asked):
            session._event_loop.call_later(LOOK_S, create_then, session, asked)

    AppSession._create_scriptrunner = create_then  # type: ignore[assignment, method-assign]
