"""The scale ruler in the kitchen: which real fabric the link acts like, for a chosen model and GPU."""

from typing import Any, NamedTuple

import msgspec
import streamlit as st

from engine.events import Arrived, HandoffStarted
from engine.fleet.catalog.hardware import gpu, gpus
from engine.fleet.catalog.hf_config import model, models
from engine.fleet.estimate.ruler import measured_pace, scale_ruler
from engine.log import Log


class Scale(NamedTuple):
    """Names of the real model and the real GPU."""

    model: str
    gpu: str


def choose_scale() -> Scale:
    """Draw the two boxes. The model and GPU chosen for the link's scale."""
    shipped, known = models(), gpus()
    return Scale(
        st.selectbox(
            "The link acts as it would for",
            list(shipped),
            list(shipped).index("llama-3.1-8b"),
            format_func=lambda name: shipped[name].label,
            help="The fabric on which a tray takes as long, compared with its prefill. The pass shows which.",
            key="real_model",
            bind="query-params",
        ),
        st.selectbox(
            "on this GPU",
            list(known),
            list(known).index("h100-sxm"),
            format_func=lambda name: known[name].label,
            key="real_gpu",
            bind="query-params",
        ),
    )


def marks(log: Log, scale: Scale) -> list[dict[str, Any]]:
    """Marks for the scene, from this log's own pace; empty before it has prefilled and shipped anything."""
    tokens = {event.request: event.prompt_tokens for event in log.events if isinstance(event, Arrived)}
    sent = [event for event in log.events if isinstance(event, HandoffStarted) and tokens.get(event.request)]
    if not sent:
        return []
    per_token = sum(tray.nbytes for tray in sent) / sum(tokens[tray.request] for tray in sent)
    pace = measured_pace(log.events, per_token)
    if pace is None:
        return []
    return [msgspec.to_builtins(mark) for mark in scale_ruler(pace, model(scale.model), gpu(scale.gpu)).marks]
