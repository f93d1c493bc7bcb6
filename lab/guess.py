"""The form for a guess: a value, how sure, and why. It knows the question only; there is nothing else to know yet."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from lab.amounts import amount, middle, steps
from lessons.book import REASON_CHARS, Guess
from lessons.keys import Value
from lessons.lesson import Knob, Round
from lessons.question import CONFIDENCES, Choice, Curve, Number

MODULE = Path(__file__).parent.parent / "assets" / "curve.js"
OWN_CHARS = 240

drawing = st.components.v2.component("split_kitchen.curve", js=MODULE.read_text("utf-8"))


class Draft(NamedTuple):
    """The guess as it stands; `missing` is what it lacks, in words, and empty once it can be locked."""

    guess: Guess | None
    missing: Sequence[str]


def guess_form(asked: Round, key: str) -> Draft:
    """`key` tells this form's widgets from any other's."""
    missing: list[str] = []
    setting = _knob(asked.knob, key) if asked.knob else 0.0
    value: Value | None
    match asked.answer:
        case Number() as number:
            value, wanted = _number(number, key), "a number"
        case Choice() as choice:
            value, wanted = _choice(choice, key), "an answer"
        case Curve() as curve:
            value, wanted = _curve(curve, key), "a curve"
    if value is None:
        missing.append(wanted)
    sure = st.radio("How sure are you?", CONFIDENCES, index=None, horizontal=True, key=f"{key} sure")
    if sure is None:
        missing.append("how sure you are")
    reason = _reason(asked.reasons, key)
    if value is None or sure is None:
        return Draft(None, missing)
    return Draft(Guess(value, sure, reason, setting), ())


def _knob(knob: Knob, key: str) -> float:
    label = knob.label[:1].upper() + knob.label[1:]
    return float(st.select_slider(label, knob.values, format_func=knob.words, key=f"{key} knob"))


def _number(number: Number, key: str) -> tuple[float, ...] | None:
    """A slider in readable steps and an exact entry that follow each other. Until one is touched, there is no guess."""
    stops = steps(number.low, number.high, number.log)
    slider, exact = f"{key} slider", f"{key} exact"

    def slid() -> None:
        st.session_state[exact] = st.session_state[slider]

    def typed() -> None:
        value = st.session_state[exact]
        if value is not None:
            st.session_state[slider] = _nearest(value, stops, number.log)

    if slider not in st.session_state:
        st.session_state[slider] = _nearest(middle(number.low, number.high, number.log), stops, number.log)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.select_slider(
            "Your guess" + (f", {number.unit}" if number.unit else ""),
            stops,
            format_func=lambda stop: amount(stop, number.unit),
            key=slider,
            on_change=slid,
            width=520,
        )
        value = st.number_input(
            "or exactly" + (f", {number.unit}" if number.unit else ""),
            number.low,
            number.high,
            None,
            format="%g",
            placeholder="not set",
            key=exact,
            on_change=typed,
            width=170,
        )
    if value is None:
        st.caption("Not set yet: move the slider, or type a number.")
        return None
    return (float(value),)


def _nearest(value: float, stops: Sequence[float], log: bool) -> float:
    if log and value > 0:
        return min(stops, key=lambda stop: max(stop, value) / max(min(stop, value), 1e-12))
    return min(stops, key=lambda stop: abs(stop - value))


def _choice(choice: Choice, key: str) -> str | None:
    return st.radio(
        "Your guess", list(choice.options), index=None, format_func=choice.options.__getitem__, key=f"{key} choice"
    )


def _curve(curve: Curve, key: str) -> tuple[float, ...] | None:
    st.markdown("Your guess: drag the points, or move each with the arrow keys.")
    data = {
        "x": curve.x,
        "x_label": curve.x_label,
        "y_label": curve.y_label,
        "unit": curve.unit,
        "low": curve.low,
        "high": curve.high,
        "log": curve.log,
        "log_x": curve.log_x,
    }
    drawn = drawing(data=data, key=f"{key} curve", default={"values": None}, on_values_change=lambda: None)
    values: list[float] | None = drawn["values"]
    return tuple(map(float, values)) if values else None


def _reason(offered: Sequence[str], key: str) -> str:
    with st.container(horizontal=True, gap="medium"):
        chosen = (
            st.selectbox("Why?", offered, None, placeholder="Choose a reason", key=f"{key} reason", width=420)
            if offered
            else None
        )
        own = st.text_input(
            "In your own words (optional)" if offered else "Why? (optional)",
            max_chars=OWN_CHARS,
            key=f"{key} own",
            width=420,
        )
    return " — ".join(part for part in (chosen, own.strip()) if part)[:REASON_CHARS]
