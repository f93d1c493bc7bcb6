"""Our own components in Streamlit's pages: each is a JavaScript module in `assets`."""

from pathlib import Path
from typing import Any

import streamlit as st

ASSETS = Path(__file__).parents[2] / "assets"


def asset(name: str) -> str:
    """The text of a file in assets/."""
    return (ASSETS / name).read_text("utf-8")


def component(name: str, **options: Any) -> Any:
    """The component `assets/NAME.js`. Call it with `data`, `key` and `on_<value>_change` for each value it emits."""
    return st.components.v2.component(f"split_kitchen.{name}", js=source(name), **options)


def source(name: str) -> str:
    """The component's module, with the code that mounts it."""
    return asset("mount.js") + asset(f"{name}.js")
