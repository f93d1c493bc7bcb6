"""Your lab: should *you* split prep from plating, on your GPUs and for your orders, and what must be fixed first?"""

from collections.abc import Sequence

import streamlit as st

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.plan import SAID
from engine.fleet.advisor.trial import TrialResult
from engine.fleet.exports.files import files
from engine.fleet.host.finding import Finding, Tray
from engine.fleet.host.findings import findings
from engine.fleet.host.fleet import example_fleet
from engine.units import amount, percent
from lab.clusters.advisor_form import ask, chosen_model, this_machine
from lab.clusters.capacity_chart import capacity_alt, capacity_figure
from lab.clusters.flip_chart import flips_alt, flips_figure
from lab.clusters.jobs import AdvisorJob, Jobs
from lab.clusters.scale_kitchen import show
from lab.clusters.simulate_kitchen import PlansKitchen
from lab.ui.downloads import download
from lab.ui.style import STILL, style

VERDICTS = {
    "colocate": ("One station, whole prompts between plates", ":material/join:"),
    "colocate-chunked": ("One station, portions between plates", ":material/join:"),
    "disaggregate": ("Two stations, and trays over the pass", ":material/call_split:"),
    "conditional": ("Two stations, but only big orders cross the pass", ":material/alt_route:"),
    "fix-first": ("Fix the road between the stations first", ":material/build:"),
}
SEVERITIES = {
    "critical": (":material/error:", "Critical"),
    "warning": (":material/warning:", "Warning"),
    "info": (":material/info:", "For information"),
}


def page(jobs: Jobs) -> None:
    """Draw the page: the form, then the advice or its progress, then this machine's findings."""
    style()
    st.title("Your lab", anchor=False)
    st.markdown(
        "Should **your** kitchen prep (prefill) and plate (decode) at one station, or at two with the trays (KV cache) "
        "carried across? Describe it: candidates with the same number of GPUs are simulated against each other."
    )
    question = ask()
    if question:
        if isinstance(before := st.session_state.get("asking"), AdvisorJob):
            before.job.cancel()
        st.session_state["asking"] = jobs.advise(question)
    asking: Advice | AdvisorJob | None = st.session_state.get("asking")
    if asking is None:
        st.info("Choose a kitchen above and ask. The first one, with a broken road, is where this course began.")
    elif isinstance(asking, Advice):
        _answer(jobs, asking)
    elif not asking.job.over:
        _waiting()
    elif asking.advice:
        _answer(jobs, asking.advice)
    else:
        st.error(asking.job.why, icon=":material/error:")
    _machine()


# ---- the answer


@st.fragment(run_every=0.5)
def _waiting() -> None:
    asking: AdvisorJob = st.session_state["asking"]
    asking.job.keep_alive()
    if asking.job.over:
        st.rerun()
    st.progress(asking.progress.share, asking.progress.what)
    if st.button("Cancel", icon=":material/close:"):
        asking.job.cancel()
        st.session_state.pop("asking")
        st.rerun()


def _answer(jobs: Jobs, advice: Advice) -> None:
    _verdict(advice)
    figure = capacity_figure(advice)
    st.plotly_chart(figure, key="capacity", alt=capacity_alt(advice), config={"displayModeBar": False})
    _to_fix(advice.findings)
    reasons, turning = st.columns(2, gap="large")
    with reasons:
        _reasons(advice)
    with turning:
        _turning(advice)
    _compared(advice)
    _watch(jobs, advice)
    _downloads(advice)


def _verdict(advice: Advice) -> None:
    kitchen, icon = VERDICTS[advice.verdict]
    with st.container(border=True):
        st.subheader(f"{icon} {kitchen}", anchor=False)
        st.markdown(f"In serving terms: **{SAID[advice.verdict]}**.")
        st.markdown(advice.sentence)
        sure = "Too close to call" if advice.close else "Firm" if advice.firm else "On the edge"
        st.markdown(f"**{sure}.** {_sureness(advice)}")
        if advice.fewest_gpus and advice.fewest_gpus < advice.question.gpus:
            st.markdown(f"**{advice.fewest_gpus} of these GPUs would do**, by the formulas, without splitting.")


def _sureness(advice: Advice) -> str:
    if advice.close:
        return advice.close.removeprefix("Too close to call: ").capitalize()
    if advice.firm:
        tried = ", ".join(variation.what for variation in advice.uncertainty)
        return f"The verdict is the same with each of these: {tried}."
    turned = [f"{v.what}: **{SAID[v.verdict]}**" for v in advice.uncertainty if v.verdict != advice.verdict]
    return f"Uncertain inputs would change it. With {'; with '.join(turned)}."


def _to_fix(found: Sequence[Finding]) -> None:
    if found:
        st.markdown("#### What must be fixed")
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
    if advice.flips:
        st.plotly_chart(flips_figure(advice), key="flips", alt=flips_alt(advice), config=STILL)
        st.caption("For each input alone, with the others as asked: the nearest value that changes the verdict.")
    lines = [f"- {flip.sentence}" for flip in advice.flips]
    if advice.next_tier:
        lines.append(f"- **Next tier:** {advice.next_tier.sentence}")
    if not advice.flips:
        st.markdown("Nothing within a factor of 64 of what you asked, one input at a time.")
    st.markdown("\n".join(lines))
    if advice.verdict == "fix-first":
        st.caption("All of this assumes that the road is fixed.")


def _compared(advice: Advice) -> None:
    st.markdown("#### What was simulated, on the same orders and GPUs")
    other = advice.runner_up
    rows = [_row(advice.chosen, "chosen")] + ([_row(other, "runner-up")] if other else [])
    rest = [o for o in advice.tried if o.candidate not in (advice.chosen.candidate, other and other.candidate)]
    rows += [_row(outcome, "") for outcome in sorted(rest, key=lambda outcome: -outcome.headroom)]
    head = ["| Kitchen | Sustains, /s | TTFT | TPOT | ITL |", "|---|---:|---:|---:|---:|"]
    st.markdown("\n".join([*head, *rows]))
    if advice.frontier:
        unbeaten = "; ".join(f"**{outcome.candidate.label}**" for outcome in advice.frontier)
        st.markdown(f"Frontier at the asked rate, which nothing beats in both TTFT and ITL: {unbeaten}.")
    chosen = advice.chosen.then
    st.caption(
        f"Sustains: the highest rate within both targets, ±{percent(advice.error)}, in steady state. The chosen "
        f"one was simulated there with {chosen.requests:,} orders; those in flight were replaced "
        f"{chosen.turnovers:.1f} times. Times are in ms: TTFT and TPOT at the 90th, ITL at the 99th percentile, at "
        f"{amount(advice.question.rate_per_s)} orders/s, or at what the kitchen sustains if that is less. "
        f"{advice.assumes}"
    )


def _row(outcome: TrialResult, place: str) -> str:
    kept = ":material/check:" if outcome.keeps else ":material/close:"
    times = [amount(1e3 * seconds) for seconds in (outcome.ttft_s, outcome.tpot_s, outcome.itl_s)]
    named = f"**{outcome.candidate.label}**, {place}" if place else outcome.candidate.label
    return f"| {named} | {amount(outcome.sustained_per_s)} {kept} | {' | '.join(times)} |"


def _watch(jobs: Jobs, advice: Advice) -> None:
    """One click opens a simulated kitchen of the plan."""
    if not st.toggle("Watch this plan's kitchen, simulated", key="watch_plan"):
        return
    chosen = advice.chosen
    rate = min(advice.question.rate_per_s, chosen.sustained_per_s) or advice.question.rate_per_s
    show(jobs, PlansKitchen(advice.question, chosen.candidate, rate))


def _downloads(advice: Advice) -> None:
    st.markdown("#### Take it with you")
    with st.container(horizontal=True):
        for name, text in files(advice).items():
            download(name, name, text)
    st.caption("Commands and manifests for the plan above. Never tried on a cluster: check images, labels and paths.")


# ---- this machine


def _machine() -> None:
    with st.expander("This machine's GPUs and roads"):
        tray = Tray(chosen_model(), st.session_state["isl_tokens"])
        here = this_machine()
        _findings(findings(here, tray))
        if not here.gpus:
            st.markdown("**A recorded example fleet instead**, not yours:")
            _findings(findings(example_fleet(), tray))
