"""Widgets that several pages use to choose a kitchen."""

import streamlit as st

from engine.scenario import KINDS, Kind
from lab.scene.words import SERVING, TITLES

LINKS = (0.5e6, 1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6, 1e9, 2e9, 0.0)  # bytes/s; 0: unpaced


def choose_kind(key: str = "kitchen") -> Kind:
    """`key` is the widget's, and its name in the page's address."""
    kind = st.segmented_control(
        "Kitchen",
        KINDS,
        default="disaggregated",
        required=True,
        wrap=True,
        format_func=TITLES.__getitem__,
        key=key,
        bind="query-params",
        help=" · ".join(f"{TITLES[kind]}: {SERVING[kind]}" for kind in KINDS) + " · Each has as many workers.",
    )
    return kind if kind in KINDS else "disaggregated"
