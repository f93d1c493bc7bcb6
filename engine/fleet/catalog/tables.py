"""This package's data files, and looking up a row by name."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, TypeVar

from engine.errors import BadInput

Row = TypeVar("Row")


def read_table(file: str) -> dict[str, dict[str, Any]]:
    """The tables of one file in `engine/fleet/catalog/data`, by name."""
    return tomllib.loads(files("engine.fleet.catalog").joinpath("data", file).read_text("utf-8"))


def named(field: str, name: str, rows: Mapping[str, Row], *, other: str = "") -> Row:
    """The row called `name`. Raises BadInput with all names and the nearest one; `other`: what else is allowed."""
    if name in rows:
        return rows[name]
    near = get_close_matches(name.lower(), rows, n=1, cutoff=0.5)
    allowed = f"one of {', '.join(rows)}{other}"
    raise BadInput(field, name, f"{allowed} (did you mean {near[0]}?)" if near else allowed)
