"""Widgets that several pages use to choose a kitchen."""

import streamlit as st

from engine.scenario import KINDS, Kind
from lab.scene.words import SERVING, TITLES

LINKS = (0.5e6, 1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6, 1e9, 2e9, 0.0)  # bytes/s; 0: unpaced
FIRST_SEEN: tuple[Kind, Kind] = ("colocated", "disaggregated")  # one that freezes, beside one that ships


def choose_kind(key: str = "kitchen", default: Kind = "disaggregated", *, titled: bool = True) -> Kind:
    """`key` is the widget's, and its name in the page's address. `titled`: with its name above it for all to see."""
    kind = st.segmented_control(
        "Kitchen",
        KINDS,
        default=default,
        required=True,
        wrap=True,
        format_func=TITLES.__getitem__,
        key=key,
        bind="query-params",
        label_visibility="visible" if titled else "collapsed",
        help=" · ".join(f"{TITLES[kind]}: {SERVING[kind]}" for kind in KINDS) + " · Each has as many workers.",
    )
    return kind if kind in KINDS else default


def beside_each_other(first: str, beside: str) -> list[Kind]:
    """What an address or the two widgets name, by kind or title; of what is no kitchen there is the usual one."""
    kinds: list[Kind] = []
    for named, usual in ((first, FIRST_SEEN[0]), (beside, FIRST_SEEN[1] if not beside else None)):
        kind = next((kind for kind in KINDS if named in (kind, TITLES[kind])), usual)
        if kind is not None and kind not in kinds:
            kinds.append(kind)
    return kinds
