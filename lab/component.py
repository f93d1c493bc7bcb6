"""Our components in Streamlit's pages: each is a module in `assets`, behind what all of them need."""

from typing import Any

import streamlit as st

from lab.export import MODULE

ASSETS = MODULE.parent


def component(name: str, **options: Any) -> Any:
    """To be called with `data` and `key`, and `on_<what it emits>_change`."""
    return st.components.v2.component(f"split_kitchen.{name}", js=source(name), **options)


def source(name: str) -> str:
    return "".join((ASSETS / file).read_text("utf-8") for file in ("mount.js", f"{name}.js"))
