"""A kitchen of many stations on the Scale up page: it shows why a sweep has its result."""

from functools import lru_cache
from typing import NamedTuple

import streamlit as st

from engine.errors import BadInput
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.question import Question
from engine.fleet.sweep.payoff import question_of
from engine.fleet.sweep.plans import best_plan, busy_rate_per_s, splits_by_ratio
from engine.fleet.sweep.said import Sweep
from engine.scenario import KINDS, Kind
from engine.units import amount
from lab.clusters.jobs import Jobs, KitchenJob, SweepResult, sustained
from lab.clusters.simulate_kitchen import PlansKitchen
from lab.clusters.sweep_charts import best_of
from lab.scene.choices import choose_kind
from lab.scene.component import scene
from lab.scene.export_html import kitchen
from lab.scene.words import TITLES

LOADS = (0.3, 0.5, 0.7, 0.9, 1.0, 1.2, 1.6)  # of the rate that keeps all workers busy
SLIDER = 200


def watch(jobs: Jobs, swept: Sweep, result: SweepResult | None) -> None:
    """Show the best plan of the chosen kind under the chosen load; `result` gives it the best split."""
    st.subheader("Watch one kitchen", anchor=False)
    if not st.toggle("Show it", True, key="watch", bind="query-params"):
        st.session_state.pop("watching", None)
        return
    try:
        asked = _choose(swept, result).checked()
    except BadInput as wrong:
        st.error(str(wrong))
        return
    show(jobs, asked)


def show(jobs: Jobs, asked: PlansKitchen) -> None:
    """The kitchen, or how far its simulation is."""
    drawn = jobs.drawn(asked)
    if drawn is None:
        _wait_for(jobs, asked)
        return
    note = f"simulated: {asked.requests} orders, {amount(asked.rate_per_s)} per second"
    shown = kitchen([], TITLES[asked.kind], note=note, deployment=asked.kind) | {"simulated": True}
    shown["motions"] = bytes(drawn.motions).decode()  # already JSON: megabytes, not encoded again on each rerun
    scene({"kitchens": [shown], "can": [], "speed": _slow_enough(drawn.ends_s)})


class _Plans(NamedTuple):
    """What can be watched: the best plan of each kind, and the best split for each number of GPUs that prefill."""

    question: Question
    best: dict[Kind, Candidate]
    splits: dict[int, Candidate]
    busy_rate_per_s: float


@lru_cache(maxsize=64)
def _plans(swept: Sweep) -> _Plans:
    question = question_of(swept.checked())
    best = {kind: best_plan(question, kind) for kind in KINDS}
    return _Plans(question, best, splits_by_ratio(question), busy_rate_per_s(question))


def _choose(swept: Sweep, result: SweepResult | None) -> PlansKitchen:
    plans = _plans(swept)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        kind = choose_kind("watched_kitchen")
        load = st.select_slider(
            "Load",
            LOADS,
            0.9,
            format_func=lambda share: f"{amount(share * plans.busy_rate_per_s)} orders/s",
            key="watched_load",
            bind="query-params",
            width=SLIDER,
        )
        found = best_of(sustained(result.points)).get(kind) if result else None
        plan = found.plan if found else plans.best[kind]
        if kind == "disaggregated" and len(plans.splits) > 1:
            best = _best_ratio(plans, result)
            gpus = st.select_slider(
                "Prep stations (P), the others (D)",
                list(plans.splits),
                best,
                format_func=lambda gpus: plans.splits[gpus].label.split(" (")[0],
                key=_ratio_key(plans, best),
                width=SLIDER,
            )
            plan = plans.splits[gpus]
    return PlansKitchen(plans.question, plan, load * plans.busy_rate_per_s)


def watched_ratio(swept: Sweep, result: SweepResult) -> int | None:
    """How many GPUs prefill in the split kitchen that can be watched; None if nobody wants to."""
    if not st.session_state.get("watch", True):
        return None
    plans = _plans(swept)
    best = _best_ratio(plans, result)
    return int(st.session_state.get(_ratio_key(plans, best), best))


def _best_ratio(plans: _Plans, result: SweepResult | None) -> int:
    found = best_of(sustained(result.points)).get("disaggregated") if result else None
    prefill = (found.plan if found else plans.best["disaggregated"]).prefill
    assert prefill
    return prefill.gpus


def _ratio_key(plans: _Plans, best: int) -> str:
    """Other ratios, or another best one, and the slider begins anew."""
    return f"watched_ratio {best} of {' '.join(map(str, plans.splits))}"


def _wait_for(jobs: Jobs, asked: PlansKitchen) -> None:
    coming: KitchenJob | None = st.session_state.get("watching")
    if coming is None or coming.asked != asked or (coming.job.over and not coming.job.why):  # finished, then evicted
        if coming:
            coming.job.cancel()
        st.session_state["watching"] = jobs.kitchen(asked)
    _progress(jobs)


@st.fragment(run_every=0.3)
def _progress(jobs: Jobs) -> None:
    coming: KitchenJob = st.session_state["watching"]
    coming.job.keep_alive()
    if not coming.job.over:
        st.caption(":material/hourglass_top: Simulating.")
    elif coming.job.why:
        st.error(coming.job.why)
    elif jobs.drawn(coming.asked) is not None:
        st.rerun()


def _slow_enough(ends_s: float) -> float:
    """One of the scene's speeds, slow enough to see single steps."""
    return 0.05 if ends_s < 4 else 0.25 if ends_s < 30 else 1.0
