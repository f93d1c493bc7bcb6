"""What pages keep in a visitor's session."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


def runs_on_show(name: str) -> list[str]:
    """The ids of the runs that a page shows, in order: the session's own list, kept under `name`."""
    runs: list[str] = st.session_state.setdefault(name, [])
    return runs


@contextmanager
def widget_changed(widget: str, value: object) -> Iterator[bool]:
    """Yields whether `widget` has another value than when the page was last drawn. Draw the widgets that follow it
    inside the block.

    A callback would not do. Streamlit calls it in the first run that brings the change; if a fragment's timer is
    quicker than the page, that run draws the fragment alone, and in the page's own run the browser still sends the
    old value of the widget that follows.
    """
    drawn = f"{widget}, as drawn"
    yield drawn in st.session_state and st.session_state[drawn] != value
    st.session_state[drawn] = value  # not reached in a run that is cut short: the next run must do it again
