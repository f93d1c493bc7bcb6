"""Our components in Streamlit's pages: each is a module in `assets`, behind what all of them need."""

from typing import Any

import streamlit as st

from lab.assets import asset


def component(name: str, **options: Any) -> Any:
    """To be called with `data` and `key`, and `on_<what it emits>_change`."""
    return st.components.v2.component(f"split_kitchen.{name}", js=source(name), **options)


def source(name: str) -> str:
    return asset("mount.js") + asset(f"{name}.js")
