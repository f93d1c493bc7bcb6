"""Your lab: should *you* split prep from plating, on your GPUs and for your orders, and what must be mended first?"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import streamlit as st

from engine.errors import BadInput
from engine.fleet.advice import Advice
from engine.fleet.exports.files import files
from engine.fleet.findings import Finding, Tray, findings
from engine.fleet.hardware import fabrics, gpus
from engine.fleet.hf_config import models
from engine.fleet.nvml import example_fleet, read_fleet
from engine.fleet.question import ENGINES, Question
from engine.fleet.trial import Outcome
from engine.sim.traces import read_trace
from engine.workload import Draft
from lab.asking import Asking
from lab.look import look

TWO_POOLS = Question(
    16, "h100-sxm", "llama-3.3-70b", isl_tokens=3000, osl_tokens=150, rate_per_s=5, ttft_slo_s=1, itl_slo_s=0.04
)
PRESETS = {
    "4 GPUs, one NVLink pair down": Question(4, "a100-pcie-80g", rate_per_s=1, fabric="nvlink3", links_down=1),
    "One node of 8 × H100": Question(rate_per_s=12, itl_slo_s=0.01),
    "Two node pools over InfiniBand": TWO_POOLS,
    "Two node pools over 10G Ethernet": msgspec.structs.replace(TWO_POOLS, fabric="eth-10g"),
    "A GB200 NVL72 rack": Question(
        72, "gb200", "llama-3.3-70b", isl_tokens=8192, osl_tokens=512, rate_per_s=20, itl_slo_s=0.02
    ),
}
VERDICTS = {
    "colocate-chunked": ("One station, portions between plates", "co-locate, with chunked prefill", ":material/join:"),
    "disaggregate": (
        "Two stations, and trays over the pass",
        "disaggregate prefill and decode",
        ":material/call_split:",
    ),
    "conditional": (
        "Two stations, but only big orders cross the pass",
        "disaggregate long prompts only",
        ":material/alt_route:",
    ),
    "fix-first": ("Mend the road between the stations first", "fix the fabric first", ":material/build:"),
}
SEVERITIES = {
    "critical": (":material/error:", "Critical"),
    "warning": (":material/warning:", "Warning"),
    "info": (":material/info:", "For information"),
}
OWN_FABRIC = "as the GPU has"
TRACE_MB = 5
MIMES = {".md": "text/markdown", ".sh": "text/x-shellscript", ".yaml": "application/yaml", ".json": "application/json"}


def page() -> None:
    look()
    st.title("Your lab", anchor=False)
    st.markdown(
        "Should **your** kitchen prep (prefill) and plate (decode) at one station, or at two with the trays (KV cache) "
        "carried across? Describe it: candidates with the same number of GPUs are simulated against each other."
    )
    question = _ask()
    if question:
        if asking := st.session_state.get("asking"):
            asking.cancel()
        st.session_state["asking"] = Asking(question)
    asking = st.session_state.get("asking")
    if asking is None:
        st.info("Choose a kitchen above and ask. The first one, with a broken road, is where this course began.")
    elif asking.over:
        _answer(asking)
    else:
        _waiting()
    _machine()


# ---- the question


def _ask() -> Question | None:
    """The question that was just asked, if one was."""
    st.selectbox("Begin with", PRESETS, key="preset", on_change=_take_preset)
    if "gpus" not in st.session_state:
        _take_preset()
    with st.form("question", border=True):
        hardware, load, promise = st.columns(3, gap="medium")
        with hardware:
            st.markdown("##### Stations: hardware")
            st.number_input("GPUs, in all", 1, 512, key="gpus")
            st.selectbox("GPU", gpus(), format_func=lambda name: gpus()[name].label, key="gpu")
            names = {OWN_FABRIC: OWN_FABRIC} | {name: road.label for name, road in fabrics().items()}
            st.selectbox("The pass: fabric between pools", names, format_func=lambda name: names[name], key="fabric")
            st.number_input("Of these roads, down", 0, 512, key="links_down")
        with load:
            st.markdown("##### Orders: load")
            st.selectbox("Model", models(), format_func=lambda name: models()[name].label, key="model")
            st.number_input("Prompt tokens (ISL)", 1, 1_000_000, key="isl_tokens")
            st.number_input("Answer tokens (OSL)", 1, 100_000, key="osl_tokens")
            st.number_input("Orders per second", 0.01, 100_000.0, key="rate_per_s")
        with promise:
            st.markdown("##### Promises: targets")
            st.number_input("First token within, seconds (TTFT)", 0.01, 600.0, key="ttft_slo_s")
            st.number_input("Next token within, milliseconds (ITL)", 1.0, 10_000.0, key="itl_slo_ms")
            st.slider("Prompt already prepped (prefix reuse), %", 0, 95, step=5, key="reuse_percent")
            st.selectbox("Engine", ENGINES, key="engine")
        with st.expander("Orders as they were: upload a trace instead of lengths and rate"):
            trace = st.file_uploader(
                f"Azure CSV or Mooncake JSONL, at most {TRACE_MB} MB", ["csv", "jsonl"], max_upload_size=TRACE_MB
            )
        asked = st.form_submit_button("Ask the advisor", type="primary", icon=":material/support_agent:")
    if not asked:
        return None
    try:
        return _question(_drafts(trace.getvalue()) if trace else ())
    except BadInput as bad:
        st.session_state.pop("asking", None)
        st.error(str(bad), icon=":material/error:")
        return None


def _take_preset() -> None:
    question = PRESETS[st.session_state.get("preset") or next(iter(PRESETS))]
    taken = ("gpus", "gpu", "model", "engine", "isl_tokens", "osl_tokens", "links_down")
    st.session_state.update({field: getattr(question, field) for field in taken})
    st.session_state.update(
        fabric=question.fabric or OWN_FABRIC,
        rate_per_s=float(question.rate_per_s),
        ttft_slo_s=float(question.ttft_slo_s),
        itl_slo_ms=question.itl_slo_s * 1e3,
        reuse_percent=round(100 * question.prefix_reuse),
    )


def _question(trace: Sequence[Draft]) -> Question:
    """Checked here and again by the advisor. Raises BadInput."""
    state = st.session_state
    asked = Question(
        gpus=state["gpus"],
        gpu=state["gpu"],
        model=state["model"],
        engine=state["engine"],
        isl_tokens=state["isl_tokens"],
        osl_tokens=state["osl_tokens"],
        rate_per_s=state["rate_per_s"],
        ttft_slo_s=state["ttft_slo_s"],
        itl_slo_s=state["itl_slo_ms"] / 1e3,
        prefix_reuse=state["reuse_percent"] / 100,
        fabric="" if state["fabric"] == OWN_FABRIC else state["fabric"],
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


# ---- the answer


@st.fragment(run_every=0.5)
def _waiting() -> None:
    asking: Asking = st.session_state["asking"]
    if asking.over:
        st.rerun()
    st.progress(asking.heard.share, asking.heard.what)
    if st.button("Never mind", icon=":material/close:"):
        asking.cancel()
        st.session_state.pop("asking")
        st.rerun()


def _answer(asking: Asking) -> None:
    if asking.sorry:
        st.error(asking.sorry, icon=":material/error:")
    if advice := asking.advice:
        _verdict(advice)
        _mend(advice.findings)
        reasons, turning = st.columns(2, gap="large")
        with reasons:
            _reasons(advice)
        with turning:
            _turning(advice)
        _compared(advice)
        _downloads(advice)


def _verdict(advice: Advice) -> None:
    kitchen, serving, icon = VERDICTS[advice.verdict]
    with st.container(border=True):
        st.subheader(f"{icon} {kitchen}", anchor=False)
        st.markdown(f"In serving's words: **{serving}**.")
        st.markdown(advice.sentence)
        sure = "Firm" if advice.firm else "On the edge"
        st.markdown(f"**{sure}.** {_sureness(advice)}")


def _sureness(advice: Advice) -> str:
    if advice.firm:
        return "Other arrivals, and efficiencies 20 % up or down, give the same verdict."
    turned = [f"{v.what}: **{v.verdict}**" for v in advice.uncertainty if v.verdict != advice.verdict]
    return f"What nobody knows exactly would turn it. With {'; with '.join(turned)}."


def _mend(found: Sequence[Finding]) -> None:
    if found:
        st.markdown("#### What must be mended")
        _findings(found)


def _findings(found: Sequence[Finding]) -> None:
    for finding in found:
        icon, word = SEVERITIES[finding.severity]
        fix = f"  \n*To do:* {finding.fix}" if finding.fix else ""
        st.markdown(f"{icon} **{word}.** {finding.what}  \n{finding.effect}{fix}")


def _reasons(advice: Advice) -> None:
    st.markdown("#### Why")
    st.markdown("\n".join(f"- {reason.sentence}" for reason in advice.reasons))


def _turning(advice: Advice) -> None:
    st.markdown("#### What would change it")
    lines = [f"- {flip.sentence}" for flip in advice.flips]
    if advice.next_tier:
        lines.append(f"- **Next tier.** {advice.next_tier.sentence}")
    st.markdown("\n".join(lines) or "Nothing within a factor of 64 of what you asked, one input at a time.")
    if advice.verdict == "fix-first":
        st.caption("Counted from when the road is mended.")


def _compared(advice: Advice) -> None:
    st.markdown("#### What was simulated, on the same orders and GPUs")
    other = advice.runner_up
    rows = [_row(advice.chosen, "chosen")] + ([_row(other, "runner-up")] if other else [])
    rest = [o for o in advice.tried if o.candidate not in (advice.chosen.candidate, other and other.candidate)]
    rows += [_row(outcome, "") for outcome in sorted(rest, key=lambda outcome: -outcome.headroom)]
    head = ["| | Kitchen | TTFT, p90 | ITL, p99 | Both targets |", "|---|---|---:|---:|---|"]
    st.markdown("\n".join([*head, *rows]))
    st.caption(advice.assumes)


def _row(outcome: Outcome, place: str) -> str:
    kept = ":material/check: kept" if outcome.keeps else ":material/close: missed"
    shape = outcome.candidate.label
    return f"| {place} | {shape} | {1e3 * outcome.ttft_s:,.0f} ms | {1e3 * outcome.itl_s:.1f} ms | {kept} |"


def _downloads(advice: Advice) -> None:
    st.markdown("#### Take it with you")
    with st.container(horizontal=True):
        for name, text in files(advice).items():
            st.download_button(
                name, text, name, MIMES[Path(name).suffix], icon=":material/download:", on_click="ignore"
            )
    st.caption("Commands and manifests for the plan above. Applied nowhere yet: check images, labels and paths.")


# ---- this machine


def _machine() -> None:
    with st.expander("This machine's GPUs and roads"):
        tray = Tray(models()[st.session_state["model"]], st.session_state["isl_tokens"])
        here = _here()
        _findings(findings(here, tray))
        if not here.gpus:
            st.markdown("**An example fleet instead**, recorded, not yours:")
            _findings(findings(example_fleet(), tray))


@st.cache_resource(ttl=60, show_spinner=False)
def _here():  # type: ignore[no-untyped-def]  # Fleet; the decorator hides it
    return read_fleet()
