"""The advisor's form: filled in by hand, from a preset, a server's metrics, a config.json, or this machine's NVML."""

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.errors import BadInput
from engine.fleet.advisor.metrics_page import MOST_BYTES, read_metrics
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.question_from_host import Here, here
from engine.fleet.catalog.engines import ENGINES
from engine.fleet.catalog.hardware import fabrics, gpus
from engine.fleet.catalog.hf_config import models, read_config
from engine.fleet.catalog.models import ModelShape
from engine.fleet.catalog.precision import PRECISIONS
from engine.fleet.host.fleet import Fleet, example_fleet
from engine.fleet.host.nvml import read_fleet
from engine.sim.traces import read_trace
from engine.units import amount, in_words
from engine.workload import Draft
from lab.ui.session import widget_changed

EXAMPLE = here(example_fleet())
TWO_POOLS = Question(
    16, "h100-sxm", "llama-3.3-70b", isl_tokens=3000, osl_tokens=150, rate_per_s=5, ttft_slo_s=1, itl_slo_s=0.04
)
PRESETS = {
    "4 GPUs, one NVLink pair down": Question(
        EXAMPLE.gpus, EXAMPLE.gpu, rate_per_s=1, fabric=EXAMPLE.fabric, links_down=EXAMPLE.links_down
    ),
    "One node of 8 × H100": Question(rate_per_s=12, itl_slo_s=0.01),
    "Two node pools over InfiniBand": TWO_POOLS,
    "Two node pools over 10G Ethernet": msgspec.structs.replace(TWO_POOLS, fabric="eth-10g"),
    "A GB200 NVL72 rack": Question(
        72, "gb200", "llama-3.3-70b", isl_tokens=8192, osl_tokens=512, rate_per_s=20, itl_slo_s=0.02
    ),
}
FROM_EXAMPLE = next(iter(PRESETS))
GIVEN = "a question from another page"
FILLED_IN = "filled in from another page"
OWN_FABRIC = "as the GPU has"
OWN_MODEL = "the uploaded config.json"
TRACE_MB, CONFIG_MB = 5, 1
LIMITS = {"isl_tokens": (1, 1_000_000), "osl_tokens": (1, 100_000), "rate_per_s": (0.01, 100_000.0)}
PROMISES = {"itl": "99 % of gaps (ITL)", "tpot": "mean gaps (TPOT)"}


def ask() -> Question | None:
    """Draw the form. The question, if its button was just pressed and it is valid."""
    preset = st.selectbox("Start from", PRESETS, key="preset")
    with widget_changed("preset", preset) as chosen:
        if chosen or "gpus" not in st.session_state:
            _take(PRESETS[preset], EXAMPLE if preset == FROM_EXAMPLE else None)
            st.session_state[FILLED_IN] = False
        if given := st.session_state.pop(GIVEN, None):
            _take(given, None)
            st.session_state[FILLED_IN] = True
        if st.session_state.get(FILLED_IN):
            st.caption("The fields hold the question of the page that you came from.")
        asked, trace = _fields()
    if not asked:
        return None
    try:
        return _question(_drafts(trace.getvalue()) if trace else ())
    except BadInput as bad:
        st.session_state.pop("asking", None)
        st.error(str(bad), icon=":material/error:")
        return None


def _fields() -> tuple[bool, UploadedFile | None]:
    """Whether the button was just pressed, and an uploaded trace; the other fields are in the session."""
    _from_what_there_is()
    with st.form("question", border=True):
        hardware, load, promise = st.columns(3, gap="medium")
        with hardware:
            _hardware()
        with load:
            _load()
        with promise:
            st.markdown("##### Promises: targets")
            _number("First token within, seconds (TTFT)", 0.01, 600.0, key="ttft_slo_s")
            _number("Next token within, milliseconds", 1.0, 10_000.0, key="itl_slo_ms")
            st.segmented_control(
                "That target is for",
                tuple(PROMISES),
                format_func=PROMISES.__getitem__,
                default=st.session_state["promised"],
                key="promised",
                required=True,
                help="One long step among hundreds breaks the first target and hardly changes the second.",
            )
            reused = "Prompt already prepped (prefix reuse), %"
            st.slider(reused, 0, 95, st.session_state["reuse_percent"], key="reuse_percent")
            _choice("Engine", tuple(ENGINES), format_func=lambda name: ENGINES[name].label, key="engine")
            own, kinds = "as the model's file says", ("", *PRECISIONS)
            _choice("Weights", kinds, format_func=lambda kind: kind or own, key="precision")
            _choice("KV cache", ("", "bf16", "fp8"), format_func=lambda kind: kind or own, key="kv_dtype")
        with st.expander("Recorded orders: upload a trace instead of lengths and rate"):
            trace = st.file_uploader(
                f"Azure, BurstGPT, Mooncake or Qwen-Bailian, or a result of vLLM's or AIPerf's benchmark, at most "
                f"{TRACE_MB} MB",
                ["csv", "json", "jsonl"],
                max_upload_size=TRACE_MB,
            )
        asked = st.form_submit_button("Ask the advisor", type="primary", icon=":material/support_agent:")
    return asked, trace


def chosen_model() -> ModelShape:
    """The model chosen in the form: a shipped one, or the uploaded config.json's."""
    own: ModelShape | None = st.session_state.get("own_model")
    return own if own and st.session_state["model"] == OWN_MODEL else models()[st.session_state["model"]]


@st.cache_resource(ttl=60, show_spinner=False)
def this_machine() -> Fleet:
    """This machine's GPUs, read at most once a minute."""
    return read_fleet()


# ---- the fields: the default of each is the session's value. A browser that has a field's script only after the
# button was pressed is not told the value again and shows the default: else the least number, or the first option.


def _number(label: str, least: float, most: float, key: str) -> None:
    st.number_input(label, least, most, st.session_state[key], key=key)


def _choice(label: str, options: Iterable[str], key: str, format_func: Callable[[str], str] = str) -> None:
    names = tuple(options)
    st.selectbox(label, names, names.index(st.session_state[key]), key=key, format_func=format_func)


def _hardware() -> None:
    st.markdown("##### Stations: hardware")
    _number("GPUs, in all", 1, 512, key="gpus")
    _choice("GPU", gpus(), format_func=lambda name: gpus()[name].label, key="gpu")
    names = {OWN_FABRIC: OWN_FABRIC} | {name: road.label for name, road in fabrics().items()}
    _choice("The pass: fabric between pools", names, format_func=lambda name: names[name], key="fabric")
    st.checkbox("All trays share one such road", st.session_state["one_port"], key="one_port")
    _number("Links down", 0, 512, key="links_down")
    if found := st.session_state.get("found"):
        st.caption(found.sentence if _as_found(found) else f"Changed by you. {found.sentence}")


def _load() -> None:
    st.markdown("##### Orders: load")
    own: ModelShape | None = st.session_state.get("own_model")
    names = ([OWN_MODEL] if own else []) + list(models())
    label = {OWN_MODEL: f"Yours: {own.label}"} if own else {}
    _choice("Model", names, format_func=lambda name: label.get(name) or models()[name].label, key="model")
    _number("Prompt tokens (ISL)", *LIMITS["isl_tokens"], key="isl_tokens")
    _number("Answer tokens (OSL)", *LIMITS["osl_tokens"], key="osl_tokens")
    _number("Orders per second", *LIMITS["rate_per_s"], key="rate_per_s")


def _as_found(found: Here) -> bool:
    state = st.session_state
    now = (state["gpus"], state["gpu"], state["fabric"], state["links_down"])
    return now == (found.gpus, found.gpu, found.fabric or OWN_FABRIC, found.links_down)


# ---- filled from a file, a page or this machine


def _from_what_there_is() -> None:
    with st.expander("Or fill it from what you have: a server's metrics, a config.json, this machine's GPUs"):
        load, shape, roads = st.tabs(["Metrics", "config.json", "GPUs and roads"])
        with load:
            st.text_area("The text of a server's /metrics page", key="metrics", height=120, max_chars=MOST_BYTES)
            st.button("Use its load", key="take_load", on_click=_told, args=(_take_load, "metrics_said"))
            _show_said("metrics_said")
        with shape:
            limit = f"A model's config.json, at most {CONFIG_MB} MB"
            file = st.file_uploader(limit, ["json"], key="config", max_upload_size=CONFIG_MB)
            st.button(
                "Use this model", key="take_model", disabled=not file, on_click=_told, args=(_take_model, "model_said")
            )
            _show_said("model_said")
        with roads:
            with st.container(horizontal=True):
                for words, take in (
                    ("Use this machine's", _take_machine),
                    ("Use the example fleet's", _take_example),
                ):
                    st.button(words, on_click=_told, args=(take, "roads_said"))
            _show_said("roads_said")


def _told(take: Callable[[], str], place: str) -> None:
    """Runs before the page is redrawn: fill the form, or say in one sentence why it cannot be filled."""
    try:
        st.session_state[place] = (True, take())
    except BadInput as bad:
        st.session_state[place] = (False, str(bad))


def _show_said(place: str) -> None:
    taken, said = st.session_state.get(place, (True, ""))
    if said:
        (st.success if taken else st.error)(said)


def _take_load() -> str:
    """The page counts as read at the moment of pasting."""
    load = read_metrics(st.session_state["metrics"], time.time())
    found = {"isl_tokens": load.isl_tokens, "osl_tokens": load.osl_tokens}
    if load.rate_per_s is not None:
        found["rate_per_s"] = load.rate_per_s  # type: ignore[assignment]
    for field, value in found.items():
        least, most = LIMITS[field]
        st.session_state[field] = min(most, max(least, value))
    if load.prefix_reuse is not None:
        st.session_state["reuse_percent"] = min(95, round(100 * load.prefix_reuse))
    return " ".join(load.sentences())


def _take_model() -> str:
    file = st.session_state["config"]
    shape = read_config(file.getvalue(), file.name, "your-model")
    st.session_state.update(own_model=shape, model=OWN_MODEL)
    billions, kv = amount(shape.params / 1e9), in_words(shape.kv_bytes(1), "B")
    return f"{shape.label}: {billions} billion parameters, {kv} of KV per token."


def _take_machine() -> str:
    return _take_roads(this_machine())


def _take_example() -> str:
    return _take_roads(example_fleet())


def _take_roads(fleet: Fleet) -> str:
    found = here(fleet)
    taken = {"gpus": found.gpus, "gpu": found.gpu, "links_down": found.links_down}
    st.session_state.update(taken, fabric=found.fabric or OWN_FABRIC, found=found)
    return found.sentence


def fill_in(question: Question) -> None:
    """Have the form, once it is drawn, ask this question."""
    st.session_state[GIVEN] = question
    st.session_state.pop("asking", None)


def _take(question: Question, found: Here | None) -> None:
    taken = (
        *("gpus", "gpu", "model", "engine", "precision", "kv_dtype"),
        *("isl_tokens", "osl_tokens", "one_port", "links_down", "promised"),
    )
    st.session_state.update({field: getattr(question, field) for field in taken})
    st.session_state.update(
        fabric=question.fabric or OWN_FABRIC,
        found=found,
        rate_per_s=float(question.rate_per_s),
        ttft_slo_s=float(question.ttft_slo_s),
        itl_slo_ms=question.itl_slo_s * 1e3,
        reuse_percent=round(100 * question.prefix_reuse),
    )


# ---- the question


def _question(trace: Sequence[Draft]) -> Question:
    """Checked here and again by the advisor. Raises BadInput."""
    state = st.session_state
    own = chosen_model() if state["model"] == OWN_MODEL else None
    asked = Question(
        gpus=state["gpus"],
        gpu=state["gpu"],
        model=own.name if own else state["model"],
        own_model=own,
        engine=state["engine"],
        precision=state["precision"],
        kv_dtype=state["kv_dtype"],
        promised=state["promised"],
        isl_tokens=state["isl_tokens"],
        osl_tokens=state["osl_tokens"],
        rate_per_s=state["rate_per_s"],
        ttft_slo_s=state["ttft_slo_s"],
        itl_slo_s=state["itl_slo_ms"] / 1e3,
        prefix_reuse=state["reuse_percent"] / 100,
        fabric="" if state["fabric"] == OWN_FABRIC else state["fabric"],
        one_port=state["one_port"],
        links_down=state["links_down"],
        trace=tuple(trace),
    )
    asked.checked()
    return asked


def _drafts(text: bytes) -> Sequence[Draft]:
    if len(text) > TRACE_MB * 1_000_000:
        raise BadInput("trace", f"{len(text) / 1e6:.0f} MB", f"at most {TRACE_MB} MB")
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(text)
        return read_trace(file.name)
