"""The way from Streamlit's pages to the class's own page, which is none of Streamlit's."""

import streamlit as st

from lab.ui.js_component import component

_leave = component("leave")


def to_class() -> None:
    """The browser goes there at once; the link is for who comes back."""
    st.title("Your class", anchor=False)
    st.markdown("The class has a page of its own. [Go there](join).")
    _leave(data={"to": "join"}, key="leave")
