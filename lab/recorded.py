"""Runs that ship with the lab, so that something real moves before the engine is warm."""

from functools import cache
from pathlib import Path

from engine.log import Log, load

FOLDER = Path(__file__).parent.parent / "assets" / "recorded"


@cache
def recorded(name: str) -> Log:
    """A run of this engine, recorded by `split-kitchen run --record`; its machine and date are in it."""
    return load(FOLDER / f"{name}.jsonl.gz")
