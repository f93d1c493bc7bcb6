"""Should prefill and decode be split on this fleet, for this load? Formulas screen, the simulator decides.

Deployments are judged by their capacity: the highest rate at which they meet the latency targets in steady state.
Keeping prefill and decode together is the answer as long as it sustains the asked rate. Splitting does not raise
throughput; it meets targets that one pool cannot, at the cost of a second copy of the weights and a handoff per
request. So the best split must sustain what the best co-located deployment on the same GPUs, with chunked prefill or
with whole prompts, does not, by more than a margin.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from engine.fleet.advisor import reasons
from engine.fleet.advisor.advice import Advice, Variation
from engine.fleet.advisor.candidates import Candidate, chunked, splits, unchunked
from engine.fleet.advisor.capacity import MARGIN, best, pays, ranking
from engine.fleet.advisor.plan import WHOLE, Plan, Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.sensitivity import Scale, fewest_gpus, flips, next_tier
from engine.fleet.advisor.simulation import MOST_OF_TRACE, busiest
from engine.fleet.advisor.trial import TrialResult, confirmed, keeps_at, tried
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.estimate.step_cost import calibrated, error_of
from engine.fleet.host.finding import NVLINK_FIX, Finding, Tray

SHORTLIST, NEAR = 2, 0.93  # how many of each kind are simulated, if by the formulas they sustain nearly as much
SMALLER = 2  # how many smaller chunks are simulated besides, where larger ones do not hold what formulas foresee
SEEDS = (1,)  # other arrivals, for the uncertainty
ARRIVALS = 0.15  # the share by which other arrivals may change a capacity
OFF = 0.2  # the share by which an efficiency may be off
PARTS = ("compute", "memory")
THRESHOLDS = (50, 75)  # percentiles of a trace's prompts, above which only they are prefilled elsewhere

Progress = Callable[[float, str], None]


class _Found(msgspec.Struct):
    """The best of each kind that was simulated. `together`: with or without chunks; `split` may be conditional."""

    question: Question
    together: TrialResult | None
    split: TrialResult | None
    all: list[TrialResult]

    @property
    def splits(self) -> bool:
        """Whether splitting pays."""
        return bool(self.split) and pays(_headroom(self.together), _headroom(self.split))

    @property
    def chosen(self) -> TrialResult:
        picked = self.split if self.splits else self.together
        assert picked is not None  # a model that fits can be co-located with the smallest TP that divides the GPUs
        return picked

    @property
    def verdict(self) -> Verdict:
        return self.chosen.candidate.verdict


def advise(question: Question, progress: Progress | None = None) -> Advice:
    """Answer a question, in some seconds to a minute of simulation.

    `progress` is called with a share from 0 to 1 and the current activity; an exception from it ends the advice. Raises
    BadInput if the question is not valid.
    """
    say = progress or (lambda share, what: None)
    question = question.checked()
    found = _search(question, say, 0.0, 0.35 if question.links_down else 0.6)
    mended = found
    if question.links_down:
        mended = _search(question.mended(), say, 0.35, 0.6)
    verdict = _verdict(found)
    say(0.65, "Other arrivals, other efficiencies")
    scale = _scale(mended)
    uncertainty = tuple(_uncertainty(found, say))
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
        close=_close(verdict, found, uncertainty, error),
        error=error,
        fewest_gpus=fewest_gpus(mended.question, scale),
    )


def _close(verdict: Verdict, found: _Found, uncertainty: tuple[Variation, ...], error: float) -> str:
    """Why the verdict is too close to call; empty if it is not."""
    turned = {variation.what for variation in uncertainty if variation.verdict != verdict}
    for part in PARTS:
        if {_changed(part, -OFF), _changed(part, OFF)} <= turned:
            return f"Too close to call: both {_changed(part, -OFF)} and {_changed(part, OFF)} change the verdict."
    if found.together and found.split:
        together, split = found.together.headroom, found.split.headroom
        near = min(together, split) > 0 and max(together, split) / min(together, split) < 1 + error
        if near and together < 1 + error:
            return f"Too close to call: both kinds sustain the same rate within the {error:.0%} that times may be off."
    if any(what.startswith("other arrivals") for what in turned):
        return "Too close to call: other arrivals change the verdict."
    return ""


def _verdict(found: _Found) -> Verdict:
    """A link that is down is to be fixed first, unless splitting is right even without it."""
    return "fix-first" if found.question.links_down and not found.splits else found.verdict


def _search(question: Question, say: Progress, begin: float, end: float) -> _Found:
    """Screen all candidates by formula, then simulate the most promising of each kind."""
    ranked = ranking(question, chunked(question))
    whole = list(unchunked(question))
    joint = [*_shortlist(ranked), *(_shortlist(ranking(question, whole)) or whole)[:1]]
    apart = _shortlist(ranking(question, splits(question)))
    conditional = [candidate for split in apart[:1] for candidate in _conditional(question, split)]
    outcomes: list[TrialResult] = []
    candidates = [*joint, *apart, *conditional]
    for n, candidate in enumerate(candidates):
        say(begin + (end - begin) * n / len(candidates), f"Simulating {candidate.label}")
        outcomes.append(tried(question, candidate))
    together, others = outcomes[: len(joint)], outcomes[len(joint) :]
    while (further := _smaller_chunk(ranked, together)) and len(together) < len(joint) + SMALLER:
        say(end, f"Simulating {further.label}")
        together.append(tried(question, further))
    together = _confirmed(question, together, say, end)
    split, mixed = others[: len(apart)], others[len(apart) :]
    if not any(one.keeps for one in together):  # else splitting is not the answer, whatever it sustains
        split = _confirmed(question, split, say, end)
    picked, some = _best(split), _best(mixed)
    if some and (not picked or some.headroom >= MARGIN * picked.headroom):
        picked = some
    return _Found(question, _best(together), picked, [*together, *split, *mixed])


def _confirmed(question: Question, outcomes: list[TrialResult], say: Progress, share: float) -> list[TrialResult]:
    """Simulate the best one at full size, until it stays the best; the others keep their miniature's result."""
    whole: dict[Candidate, TrialResult] = {}
    while outcomes:
        now = [whole.get(one.candidate, one) for one in outcomes]
        best_now = max(now, key=lambda one: one.headroom)
        if best_now.candidate in whole:
            return now
        say(share, f"Simulating all of {best_now.candidate.label}")
        whole[best_now.candidate] = confirmed(question, best_now)
    return []


def _shortlist(ranked: Sequence[tuple[float, Candidate]]) -> list[Candidate]:
    """The most promising of each TP: neighbouring chunk sizes and ratios sustain about as much as the best one."""
    picked: dict[tuple[int, ...], Candidate] = {}
    for sustains, candidate in ranked:
        if sustains < NEAR * ranked[0][0]:
            break
        picked.setdefault(tuple(pool.tp for pool in (candidate.both, *(candidate.split or ())) if pool), candidate)
    return list(picked.values())[:SHORTLIST]


def _smaller_chunk(ranked: Sequence[tuple[float, Candidate]], simulated: Sequence[TrialResult]) -> Candidate | None:
    """The next one worth simulating, if any: formulas foresee more of it than what was simulated sustains.

    The largest chunks that keep the ITL target do so by a hair. Where simulation finds that they do not, smaller ones
    of the same TP may.
    """
    most = max((one.sustained_per_s for one in simulated), default=0.0)
    for sustains, candidate in ranked:
        sizes = [one.candidate.chunk_tokens for one in simulated if one.candidate.both == candidate.both]
        chunks = [size for size in sizes if size != WHOLE]
        if NEAR * sustains > most and chunks and candidate.chunk_tokens < min(chunks):
            return candidate
    return None


def _conditional(question: Question, split: Candidate) -> Iterator[Candidate]:
    """Only with a trace: if all prompts have one length, there is nothing to tell apart."""
    if question.trace:
        prompts = [draft.prompt_tokens for draft in question.trace]
        for threshold in np.percentile(prompts, THRESHOLDS):
            above = max(1, int(threshold) - question.cached_tokens)
            yield msgspec.structs.replace(split, remote_above_tokens=above)


def _headroom(outcome: TrialResult | None) -> float:
    return outcome.headroom if outcome else 0.0


def _best(outcomes: list[TrialResult]) -> TrialResult | None:
    return max(outcomes, key=lambda outcome: outcome.headroom, default=None)


# ---- how sure


def _scale(found: _Found) -> Scale:
    """Factors that make the formulas agree with the simulation at the simulated points."""
    foreseen = best(found.question)
    together = _headroom(found.together) / foreseen.together if foreseen.together else 1.0
    split = _headroom(found.split) / foreseen.split if foreseen.split else 1.0
    return together or 1.0, split or 1.0


def _uncertainty(found: _Found, say: Progress) -> Iterator[Variation]:
    question = found.question
    for n, seed in enumerate(SEEDS if _near(found) else ()):
        say(0.65 + 0.2 * n / len(SEEDS), f"Other arrivals: seed {seed}")
        yield Variation(f"other arrivals (seed {seed})", _with_seed(found, seed))
    own = _scale(found)
    for part in PARTS:
        for change in (-OFF, OFF):
            reached = calibrated(question.card, question.engine).scaled(**{part: 1 + change})
            yield Variation(_changed(part, change), _foreseen_verdict(found, own, reached))


def _near(found: _Found) -> bool:
    """Whether other arrivals could change the verdict at all."""
    together, split = _headroom(found.together), _headroom(found.split)
    ratio = split / (MARGIN * together) if together else 0.0
    return (abs(together - 1) < ARRIVALS and split > 1) or (together < 1 and abs(ratio - 1) < ARRIVALS)


def _changed(part: str, change: float) -> str:
    return f"{change:+.0%} {part} efficiency"


def _with_seed(found: _Found, seed: int) -> Verdict:
    """Does one pool keep the asked rate with these arrivals, too? And a split the rate at which it would pay?"""
    question, together, split = found.question, found.together, found.split
    if together and keeps_at(question, together.candidate, question.rate_per_s, seed):
        return _named(found, splits=False)
    needed = MARGIN * together.sustained_per_s if together else question.rate_per_s
    splits = split is not None and keeps_at(question, split.candidate, needed or question.rate_per_s, seed)
    return _named(found, splits=splits)


def _foreseen_verdict(found: _Found, scale: Scale, reached: Calibration) -> Verdict:
    return _named(found, splits=best(found.question, scale, reached).pays)


def _named(found: _Found, *, splits: bool) -> Verdict:
    one = found.split if splits else found.together
    if not splits and found.question.links_down:
        return "fix-first"
    return one.candidate.verdict if one else "disaggregate" if splits else "colocate-chunked"


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
    of_trace = ""
    if len(busiest(question.trace)) < len(question.trace):
        of_trace = f"Uses the busiest {MOST_OF_TRACE:,} consecutive requests of the trace's {len(question.trace):,}. "
    return (
        f"{of_trace}{question.shape.label} with {question.shape.formats}. "
        f"{error_of(question.card, question.engine, question.shape)} "
        f"TTFT at the 90th percentile, {promise} Simulated, not measured on your GPUs."
    )
