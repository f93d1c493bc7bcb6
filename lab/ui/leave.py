"""The way from Streamlit's pages to one of the lab's own, which is none of Streamlit's."""

import streamlit as st

from lab.ui.js_component import component

_leave = component("leave")


def leave(to: str, title: str, what: str) -> None:
    """The browser goes to the page `to` at once; the link is for who comes back."""
    st.title(title, anchor=False)
    st.markdown(f"{what} has a page of its own. [Go there]({to}).")
    _leave(data={"to": to}, key="leave")
