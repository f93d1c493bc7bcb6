"""The kitchen's scene as a Streamlit component."""

from typing import Any

import streamlit as st

from lab.scene.bundle import SCENE

_component = st.components.v2.component("split_kitchen.kitchen", js=SCENE)


def scene(data: dict[str, Any]) -> None:
    """Draw the scene in a container of its own. Streamlit hides an element while another stands at its place; if
    several reruns interrupt each other while a run opens, the element can stay hidden."""
    with st.container():
        _component(data=data, key="scene", on_link_change=lambda: None)  # the callback makes `link` part of the state
