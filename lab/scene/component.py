"""The kitchen's scene as a Streamlit component, and a live run in the form that it takes."""

from typing import Any

import streamlit as st

from lab.kitchen.controls import TITLES
from lab.runs.engine_client import ENGINE_ROOM
from lab.scene.bundle import SCENE

_component = st.components.v2.component("split_kitchen.kitchen", js=SCENE)


def scene(data: dict[str, Any]) -> None:
    """The scene, at a place of its own: Streamlit hides an element for as long as another stands at its place, and when
    several reruns cut each other short while a run is opened, that can be for good."""
    with st.container():
        _component(data=data, key="scene", on_link_change=lambda: None)  # it makes `link` a part of the scene's state


def live(run: str, *, own: bool = False) -> dict[str, Any] | None:
    """What the scene needs to watch a run, and to change it if it is one's own; None for one that is forgotten."""
    known = ENGINE_ROOM.hub.runs.get(run)
    if known is None:
        return None
    kind = known.kind
    return {
        "id": known.scenario.deployment.kind,
        "run": run,
        "title": TITLES[kind],
        "deployment": kind,
        "stream": f"/lab/ws?run={run}" + (f"&key={known.key}" if own else ""),
        "motions": None,
        "live": True,
        "note": "",
    }
