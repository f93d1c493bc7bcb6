"""A live run in the form that the scene takes."""

import os
from typing import Any

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
        "crowded": _crowded(run),
        "note": "",
    }


def _crowded(run: Run) -> bool:
    """Whether its workers leave a browser on this machine no core; on GPUs they need few, on other hosts none. All the
    machine's cores count, since a container's limits do not bind the browser."""
    here = run.scenario.model.device == "cpu" and not run.elsewhere
    return here and (os.cpu_count() or 1) <= run.scenario.deployment.workers
