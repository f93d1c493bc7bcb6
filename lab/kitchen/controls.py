"""Widgets -> scenarios. Steps are coarse on purpose: settings can be shared as a link, and runs compared.

The browser enforces nothing: `Scenario.checked` checks everything again before a run.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.link import LinkSpec
from engine.scenario import KINDS, SHIPPING, Deployment, Kind, Scenario, Workload
from engine.units import in_words
from lab.runs.engine_settings import EngineSettings
from lab.scene.choices import FIRST_SEEN, Ranges, beside_each_other, choose_kind, ranges
from lab.scene.words import TITLES
from lab.ui.style import SLIDER

LATENCIES_MS = (0, 1, 2, 5, 10, 20, 50, 100)
CHUNKS = (32, 64, 128, 256, 512, 1024)
MAX_ORDERS = 24
LONG_EVERY = 4
OWN_CHARS = 4000
OF_VLLM = (
    "vLLM decides the rest of the pass: trays leave whole when the plating line asks for them, over NIXL, and the "
    "first token comes from the plating line. Latency cannot be added."
)


class Wish(NamedTuple):
    """What the controls say: one scenario, or two to compare, and the visitor's own prompt for the first order."""

    scenarios: list[Scenario]
    own: str


def choose_kinds() -> list[Kind]:
    """Which kitchen, and which one beside it. At first the two that teach: one that freezes beside one that ships."""
    first = choose_kind(default=FIRST_SEEN[0], titled=False)
    st.markdown("beside", width="content")
    beside = st.selectbox(
        "Beside it, on the same orders",
        (FIRST_SEEN[1], *(kind for kind in KINDS if kind != FIRST_SEEN[1]), "none"),
        format_func=lambda other: TITLES.get(other, "nothing"),
        key="beside",
        bind="query-params",
        width=214,
        label_visibility="collapsed",
    )
    with st.container(width="content"):  # with or without a word in it: what follows keeps its place
        if beside == first:
            st.caption("the same, so one kitchen", width="content")
    return beside_each_other(first, beside)


def choose_scenarios(
    kinds: list[Kind], more: DeltaGenerator, engine: EngineSettings, most: Callable[[str], float | None]
) -> Wish:
    """All settings stand in `more`; the page has them in words (`lab/kitchen/settings.py`). `most`: what the road has
    carried, in bytes/s, by transport."""
    with more:
        with st.container(horizontal=True, gap="medium", key="orders-and-link"):
            steps = ranges(engine.model.device)
            workload = _workload(steps)
            bandwidth = _bandwidth(engine, steps)
            ceiling = st.container()  # filled last: it depends on a choice further down
        latency_ms, deployment, own = _more(engine)
        if (bytes_per_s := most(deployment.transport)) and not engine.unpaced_because:
            ceiling.caption(ceiling_says(bytes_per_s, bandwidth or None, deployment.transport))
    link = LinkSpec(bandwidth or None, latency_ms / 1000)
    scenarios = [
        Scenario(msgspec.structs.replace(deployment, kind=kind), link, workload, engine.model) for kind in kinds
    ]
    return Wish(scenarios, own.strip()[:OWN_CHARS])


def _workload(steps: Ranges) -> Workload:
    prompt = st.select_slider(
        "Prompt, tokens", steps.prompt, steps.first["prompt"], key="prompt", bind="query-params", width=SLIDER
    )
    long = st.select_slider(
        f"Every {LONG_EVERY}th prompt",
        steps.long,
        steps.first["long"],
        format_func=lambda tokens: str(tokens) if tokens else "as the others",
        help="How long every fourth prompt is, in tokens. A few giants among small ones are what makes the difference.",
        key="long",
        bind="query-params",
        width=SLIDER,
    )
    answer = st.select_slider(
        "Answer, tokens", steps.answer, steps.first["answer"], key="answer", bind="query-params", width=SLIDER
    )
    orders = st.slider("Orders", 1, MAX_ORDERS, 8, key="orders", bind="query-params", width=SLIDER)
    rate = st.select_slider(
        "Arrivals per second",
        steps.rate,
        steps.first["rate"],
        format_func=lambda rate: f"{rate:g}" if rate else "all at once",
        key="rate",
        bind="query-params",
        width=SLIDER,
    )
    return Workload(
        requests=min(orders, MAX_ORDERS),
        rate_per_s=rate or None,
        prompt_tokens=prompt,
        output_tokens=answer,
        long_prompt_tokens=long,
        long_every=LONG_EVERY if long else 0,
        ignore_eos=True,
    )


def _bandwidth(engine: EngineSettings, steps: Ranges) -> float:
    if engine.unpaced_because:
        st.caption(f"The link is vLLM's own, and cannot be slowed down: {engine.unpaced_because}.")
        return 0.0
    bandwidth: float = st.select_slider(
        "Link bandwidth",
        steps.link,
        steps.first["link"],
        format_func=lambda rate: in_words(rate, "B/s") if rate else "unpaced",
        help="Of the pass between the two stations. During a run, a change also acts on trays already on the pass.",
        key="link",
        bind="query-params",
        width=SLIDER,
    )
    return bandwidth


def ceiling_says(bytes_per_s: float, bandwidth: float | None, transport: str) -> str:
    """What the road can carry, and whether the link that is set is beyond that."""
    measured = f"Measured here: {in_words(bytes_per_s, 'B/s')} at most, unpaced, over {transport}."
    return f"{measured} The link that is set cannot be reached." if bandwidth and bandwidth > bytes_per_s else measured


def _more(engine: EngineSettings) -> tuple[float, Deployment, str]:
    own = st.text_area(
        "Your own order, served first",
        max_chars=OWN_CHARS,
        placeholder="Why does a long prompt make everybody else wait?",
        key="own",
    )
    chunk = st.select_slider(
        "Portion: tokens per step, when prep is cut", CHUNKS, 128, key="chunk", bind="query-params"
    )
    latency_ms, deployment = _pass(engine)
    prefill, most = 1, engine.workers - 1
    if most > 1:
        prefill = st.slider("Prep stations", 1, most, 1, key="prep", bind="query-params")
    named = msgspec.structs.replace(deployment, workers=engine.workers, prefill_workers=prefill, chunk=chunk)
    return latency_ms, named, own


def _pass(engine: EngineSettings) -> tuple[float, Deployment]:
    """The pass's latency in ms, and how trays leave, travel and are taken off it."""
    if engine.vllm_python:
        st.caption(OF_VLLM)
        return 0, engine.reachable(Deployment())
    latency_ms = st.select_slider(
        "Link latency",
        LATENCIES_MS,
        1,
        format_func=lambda latency: f"{latency} ms",
        key="latency",
        bind="query-params",
    )
    transport = st.selectbox("Trays travel over", engine.transports, key="transport", bind="query-params")
    ship = st.selectbox(
        "Trays leave",
        SHIPPING,
        format_func={"whole": "whole, when prepped", "layers": "layer by layer, while prepped"}.__getitem__,
        key="ship",
        bind="query-params",
    )
    first = st.selectbox(
        "The first token comes from",
        ("prefill", "decode"),
        format_func={"prefill": "the prep station (SGLang)", "decode": "the plating line (vLLM)"}.__getitem__,
        key="first",
        bind="query-params",
    )
    deployment = Deployment(
        transport=transport,  # type: ignore[arg-type]  # these three are checked with the scenario
        ship=ship,  # type: ignore[arg-type]
        first_token=first,  # type: ignore[arg-type]
    )
    return latency_ms, deployment
