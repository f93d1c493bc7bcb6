"""A live run in the form that the scene takes."""

from typing import Any

from engine.live.this_machine import core_count
from lab.runs.run_feed import Run
from lab.scene.words import TITLES


def live(run: Run | None, *, own: bool = False) -> dict[str, Any] | None:
    """What the scene needs to watch a run and, if it is the visitor's `own`, to change it. None for None, so that
    `live(engine.run(id))` says what became of an evicted run."""
    if run is None:
        return None
    return {
        "id": run.scenario.deployment.kind,
        "run": run.id,
        "title": TITLES[run.kind],
        "deployment": run.kind,
        "stream": f"/lab/ws?run={run.id}" + (f"&key={run.key}" if own else ""),
        "motions": None,
        "live": True,
        # no core is left for a browser; workers on a GPU need few
        "crowded": run.scenario.model.device == "cpu" and core_count() <= run.scenario.deployment.workers,
        "note": "",
    }
