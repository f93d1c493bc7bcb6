"""A live run in the form that the scene takes."""

from typing import Any

from lab.runs.engine_client import ENGINE_ROOM
from lab.scene.words import TITLES


def live(run: str, *, own: bool = False) -> dict[str, Any] | None:
    """What the scene needs to watch a run, and, if it is one's `own`, to change it. None if the lab has dropped it."""
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
