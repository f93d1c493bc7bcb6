"""The kitchen's scene as a Streamlit component."""

from typing import Any

import streamlit as st

from lab.scene.bundle import SCENE_AT

# Streamlit sends a component's script along with its data, in every rerun. So this one only says where the scene is,
# which a browser loads once. It is imported from a blob, below which no relative address can be found.
LOADS = f"""const {{ default: scene }} = await import(new URL({SCENE_AT!r}, document.baseURI));
export default scene;"""

_component = st.components.v2.component("split_kitchen.kitchen", js=LOADS)


def scene(data: dict[str, Any]) -> None:
    """Draw the scene in a container of its own. Streamlit hides an element while another stands at its place; if
    several reruns interrupt each other while a run opens, the element can stay hidden."""
    with st.container():
        _component(data=data, key="scene", on_link_change=lambda: None)  # the callback makes `link` part of the state
