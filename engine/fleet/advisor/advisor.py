"""Should prefill and decode be split on this fleet, for this load? Formulas screen, the simulator decides.

Deployments are judged by their capacity: the highest rate at which they meet the latency targets in steady state.
Keeping prefill and decode together is the answer as long as it sustains the asked rate. Splitting does not raise
throughput; it meets targets that one pool cannot, at the cost of a second copy of the weights and a handoff per
request. So the best split must sustain what the best co-located deployment on the same GPUs, with chunked prefill or
with whole prompts, does not, by more than a margin.
"""

from collections.abc import Iterator

from engine.fleet.advisor import reasons
from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.plan import Plan, Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.search import Found, Progress, search
from engine.fleet.advisor.sensitivity import fewest_gpus, flips, next_tier
from engine.fleet.advisor.simulation import MOST_OF_TRACE, busiest
from engine.fleet.advisor.sureness import close_call, scale_of, variations
from engine.fleet.estimate.step_cost import calibrated, error_of
from engine.fleet.host.finding import NVLINK_FIX, Finding, Tray


def advise(question: Question, progress: Progress | None = None, at_once: int = 1) -> Advice:
    """Answer a question, in some seconds to a minute of simulation.

    `progress` is called with a share from 0 to 1 and the current activity; an exception from it ends the advice.
    `at_once`: how many simulations run side by side, each in a process of its own; the answer is the same. Raises
    BadInput if the question is not valid.
    """
    say = progress or (lambda share, what: None)
    question = question.checked()
    found = search(question, say, 0.0, 0.35 if question.links_down else 0.6, at_once)
    mended = found
    if question.links_down:
        mended = search(question.mended(), say, 0.35, 0.6, at_once)
    verdict = _verdict(found)
    say(0.65, "Other arrivals, other efficiencies")
    scale = scale_of(mended)
    uncertainty = tuple(variations(found, say))
    say(0.85, "What would change the verdict")
    turning = tuple(flips(mended.question, scale))
    tier = None if mended.splits else next_tier(mended.question, scale)
    chosen = found.chosen
    other = found.together if found.splits else found.split
    say(1.0, "Done")
    error = calibrated(question.card, question.engine).error(question.shape)
    return Advice(
        verdict=verdict,
        sentence=reasons.sentence(verdict, found.question, chosen, other, tier),
        plan=_plan(verdict, found.question, chosen.candidate),
        chosen=chosen,
        reasons=tuple(reasons.reasons(found.question, found.together, found.split)),
        runner_up=other,
        flips=turning,
        next_tier=tier,
        uncertainty=uncertainty,
        findings=(*question.findings, *_about_roads(found.question)),
        tried=tuple(found.all),
        question=found.question,
        assumes=_assumes(found.question),
        close=close_call(verdict, found, uncertainty, error),
        error=error,
        fewest_gpus=fewest_gpus(mended.question, scale),
    )


def _verdict(found: Found) -> Verdict:
    """A link that is down is to be fixed first, unless splitting is right even without it."""
    return "fix-first" if found.question.links_down and not found.splits else found.verdict


# ---- what to run


def _plan(verdict: Verdict, question: Question, candidate: Candidate) -> Plan:
    road = question.road
    if candidate.prefill and candidate.decode:
        pools = (candidate.prefill.replicas, candidate.decode.replicas)
        road = question.handoff_road(candidate.prefill.tp + candidate.decode.tp, pools)
    return Plan(
        verdict=verdict,
        model=question.shape.hub or question.shape.name,
        fabric=road.name,
        isl_tokens=question.isl_tokens,
        osl_tokens=question.osl_tokens,
        ttft_slo_s=question.ttft_slo_s,
        itl_slo_s=question.itl_slo_s,
        both=candidate.both,
        prefill=candidate.prefill,
        decode=candidate.decode,
        chunk_tokens=candidate.chunk_tokens,
        remote_above_tokens=candidate.remote_above_tokens,
    ).checked()


def _about_roads(question: Question) -> Iterator[Finding]:
    """Links marked down in the question, in the form of NVML's findings."""
    if not question.links_down:
        return
    tray = Tray(question.shape, question.isl_tokens)
    now, whole = question.road_now, question.road
    rates = (now.achieved_bytes_per_s, whole.achieved_bytes_per_s)
    yield Finding(
        "critical",
        f"{question.links_down} × {whole.label} marked down.",
        f"{tray}: {tray.over(rates[0])} over {now.label}, instead of {tray.over(rates[1])}.",
        NVLINK_FIX if whole.kind == "nvlink" else "Repair the fabric, then measure: split-kitchen doctor --link HOST.",
        (),
        rates[0],
        tray.bytes / rates[0],
        rates[1],
    )


def _assumes(question: Question) -> str:
    promise = "ITL at the 99th of all gaps." if question.promised == "itl" else "TPOT at the 90th of all requests."
    of_trace = "Plays the trace from its beginning again where more requests are needed. " if question.trace else ""
    if len(busiest(question.trace)) < len(question.trace):
        of_trace += f"Uses the busiest {MOST_OF_TRACE:,} consecutive requests of the trace's {len(question.trace):,}. "
    return (
        f"{of_trace}{question.shape.label} with {question.shape.formats}. "
        f"{error_of(question.card, question.engine, question.shape)} "
        f"TTFT at the 90th percentile, {promise} Simulated, not measured on your GPUs."
    )
