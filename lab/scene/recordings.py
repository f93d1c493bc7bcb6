"""Runs that ship with the lab, so that something real moves before the engine is warm."""

from functools import cache
from typing import Any

from engine.failures import said_first
from engine.log import Log, load
from lab.scene.export_html import kitchen
from lab.scene.motions import motions
from lab.scene.words import TITLES, kind_of
from lab.ui.assets import ASSETS

FOLDER = ASSETS / "recorded"


@cache
def recorded(name: str) -> Log:
    """A run of this engine, recorded by `split-kitchen run --record`; its machine and date are in it."""
    return load(FOLDER / f"{name}.jsonl.gz")


def replayed(title: str, log: Log) -> dict[str, Any]:
    """A recording in the form that the scene takes, and where it is from."""
    kind = kind_of(log)
    where = f"{'by' if kind == 'endpoint' else 'on'} {log.machine}"
    made = f"recorded {log.recorded_at[:10]} {where}" if log.recorded_at else log.machine  # a simulation has no date
    note = " ".join([*said_first(log.events), made])
    # named as a live run is, so that it takes the recorded one's place
    name = kind if title == TITLES[kind] else title
    return kitchen(motions(log.events), title, id=name, note=note, deployment=kind)
