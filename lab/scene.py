"""The kitchen's scene as a Streamlit component, and a live run in the form that it takes."""

from typing import Any

import streamlit as st

from lab.controls import TITLES
from lab.engine_room import ENGINE_ROOM
from lab.export import MODULE

scene = st.components.v2.component("split_kitchen.kitchen", js=MODULE.read_text("utf-8"))


def live(run: str) -> dict[str, Any] | None:
    """What the scene needs to watch a run; None for one that is forgotten."""
    known = ENGINE_ROOM.hub.runs.get(run)
    if known is None:
        return None
    kind = known.kind
    return {
        "id": known.scenario.deployment.kind,
        "run": run,
        "title": TITLES[kind],
        "deployment": kind,
        "stream": f"/lab/ws?run={run}",
        "motions": None,
        "live": True,
        "note": "",
    }
