"""One widget that sets another."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def newly(widget: str, says: object) -> Iterator[bool]:
    """Whether `widget` says something else than when the page was last drawn; inside, draw what follows it.

    Not the widget's callback: Streamlit calls that in the first run that hears of the change. If a fragment's timer was
    quicker than the page, that run is the fragment's alone: the other widget is not drawn in it, and in the page's own
    run the browser says what the other widget said before.
    """
    drawn = f"{widget}, as drawn"
    yield drawn in st.session_state and st.session_state[drawn] != says
    st.session_state[drawn] = says  # not if the run was cut short: the next one has the same to do
