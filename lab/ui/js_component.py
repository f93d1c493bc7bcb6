"""Our components in Streamlit's pages: each is a module in `assets`, behind what all of them need."""

from pathlib import Path
from typing import Any

import streamlit as st

ASSETS = Path(__file__).parents[2] / "assets"


def asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def component(name: str, **options: Any) -> Any:
    """To be called with `data` and `key`, and `on_<what it emits>_change`."""
    return st.components.v2.component(f"split_kitchen.{name}", js=source(name), **options)


def source(name: str) -> str:
    return asset("mount.js") + asset(f"{name}.js")
