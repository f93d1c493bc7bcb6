"""Our own components in Streamlit's pages: each is a JavaScript module in `assets`."""

from typing import Any

import streamlit as st

from lab.ui.assets import asset


def component(name: str, **options: Any) -> Any:
    """The component `assets/NAME.js`. Call it with `data`, `key` and `on_<value>_change` for each value it emits."""
    return st.components.v2.component(f"split_kitchen.{name}", js=source(name), **options)


def source(name: str) -> str:
    """The component's module, with the code that mounts it."""
    return asset("mount.js") + asset(f"{name}.js")
