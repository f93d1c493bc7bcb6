"""The form for a guess: a value, how sure, and why. It knows only the question, so it can't reveal the answer."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import streamlit as st

from lab.course.view import ChoiceForm, CurveForm, Form, KnobForm, NumberForm
from lab.ui.js_component import component
from lessons.book import REASON_CHARS, Guess
from lessons.keys import Value
from lessons.question import CONFIDENCES

OWN_CHARS = 240

drawing = component("curve")
measure = component("number")


class GuessDraft(NamedTuple):
    """The guess so far. `missing`: what it lacks, in words; empty once it can be locked."""

    guess: Guess | None
    missing: Sequence[str]


def guess_form(form: Form, key: str) -> GuessDraft:
    """`key` distinguishes this form's widgets from those of other forms."""
    if form.knob:
        _knob(form.knob, key)
    match form.value:
        case NumberForm() as number:
            _number(number, key)
        case ChoiceForm(options):
            words = dict(options)
            st.radio("Your guess", list(words), index=None, format_func=words.__getitem__, key=f"{key} choice")
        case CurveForm() as curve:
            st.markdown("Your guess: drag the points, or move each with the arrow keys.")
            data = msgspec.to_builtins(curve)
            drawing(data=data, key=f"{key} curve", default={"values": None}, on_values_change=lambda: None)
    st.radio("How sure are you?", CONFIDENCES, index=None, horizontal=True, key=f"{key} sure")
    _reason(form.reasons, key)
    return drafted(form, key)


def drafted(form: Form, key: str) -> GuessDraft:
    """What the form holds, even before it is drawn: widget values arrive before the script runs."""
    said = st.session_state
    value: Value | None
    match form.value:
        case ChoiceForm():
            value, wanted = said.get(f"{key} choice"), "an answer"
        case NumberForm():
            number = said.get(f"{key} number", {}).get("value")
            value, wanted = None if number is None else (float(number),), "a number"
        case CurveForm():
            curve = said.get(f"{key} curve", {}).get("values")
            value, wanted = tuple(map(float, curve)) if curve else None, "a curve"
    sure = said.get(f"{key} sure")
    missing = [*([wanted] if value is None else []), *(["how sure you are"] if sure is None else [])]
    if value is None or sure is None:
        return GuessDraft(None, missing)
    setting = float(said[f"{key} knob"]) if form.knob else 0.0
    reasons = (said.get(f"{key} reason") or "", (said.get(f"{key} own") or "").strip())
    return GuessDraft(Guess(value, sure, " — ".join(filter(None, reasons))[:REASON_CHARS], setting), ())


def _knob(knob: KnobForm, key: str) -> None:
    label, words = knob.label[:1].upper() + knob.label[1:], dict(knob.values)
    st.select_slider(label, list(words), format_func=words.__getitem__, key=f"{key} knob")


def _number(number: NumberForm, key: str) -> None:
    """Our own component: a slider with readable steps and an exact entry that follow each other in the browser. Until
    one is touched, there is no guess."""
    data = msgspec.to_builtins(number) | {"value": st.session_state.get(f"{key} number", {}).get("value")}
    measure(data=data, key=f"{key} number", default={"value": None}, on_value_change=lambda: None)


def _reason(offered: Sequence[str], key: str) -> None:
    with st.container(horizontal=True, gap="medium"):
        if offered:
            st.selectbox("Why?", offered, None, placeholder="Choose a reason", key=f"{key} reason", width=420)
        st.text_input(
            "In your own words (optional)" if offered else "Why? (optional)",
            max_chars=OWN_CHARS,
            key=f"{key} own",
            width=420,
        )
