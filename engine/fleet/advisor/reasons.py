"""The numbers behind a verdict, each with a threshold and a sentence."""

from collections.abc import Iterator

from engine.fleet.advisor.advice import Reason, Tier
from engine.fleet.advisor.candidates import handoff_s
from engine.fleet.advisor.plan import Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.trial import TrialResult
from engine.fleet.estimate.roofline import prefill_s, smallest_tp
from engine.units import amount, in_time, in_words, percent

SHARE = 0.2  # of a prefill: a longer handoff is expensive, even if nothing waits for it


def reasons(question: Question, together: TrialResult | None, split: TrialResult | None) -> Iterator[Reason]:
    """Reasons from simulation first, then those that need none."""
    if together:
        yield from _simulated("together", "The best co-located plan", question, together)
    if split:
        yield from _simulated("split", "The best split", question, split)
        yield from _of_the_handoff(question, split)
    yield from _of_the_load(question, together)


def sentence(
    verdict: Verdict, question: Question, chosen: TrialResult, other: TrialResult | None, tier: Tier | None
) -> str:
    """The verdict in one sentence."""
    where = f"{question.gpus} × {question.card.label}"
    keeps = f"sustains {amount(chosen.sustained_per_s)} requests/s within both targets"
    keeps += "" if chosen.keeps else f", not the {amount(question.rate_per_s)} asked for"
    if verdict == "fix-first":
        later = f" Disaggregation is the next tier: {tier.sentence}" if tier else ""
        broken = f"{question.road.label} is down, so a handoff would take {question.road_now.label}: fix that first."
        return f"Keep prefill and decode together now ({chosen.candidate.label}): that {keeps}. {broken}{later}"
    if chosen.candidate.both:
        return f"Keep prefill and decode together on {where}: {chosen.candidate.label} {keeps}."
    kind = "long prompts only" if verdict == "conditional" else "prefill from decode"
    than = f" where {other.candidate.label} does not" if other and chosen.keeps else ""
    return f"Split {kind} on {where}: {chosen.candidate.label} {keeps}{than}."


def _simulated(name: str, who: str, question: Question, outcome: TrialResult) -> Iterator[Reason]:
    said, asked = f"{who} ({outcome.candidate.label})", question.rate_per_s
    text = f"{said} sustains {_rate(outcome.sustained_per_s)} within the targets; asked for: {_rate(asked)}."
    yield Reason(f"{name}_sustained_per_s", outcome.sustained_per_s, "requests/s", asked, text)
    if outcome.asked.requests == 0:
        return
    at = f"at {_rate(outcome.asked.rate_per_s)}" if outcome.keeps else "at the most that it sustains"
    itl, tpot = question.promised == "itl", question.promised == "tpot"
    for metric, value, limit, percentile in (
        ("ttft", outcome.ttft_s, question.ttft_slo_s, "90 % of first tokens come within"),
        ("itl", outcome.itl_s, question.itl_slo_s if itl else None, "99 % of gaps between tokens are within"),
        ("tpot", outcome.tpot_s, question.itl_slo_s if tpot else None, "90 % of requests have a mean gap within"),
    ):
        against = f"; target: {in_time(limit)}" if limit else ""
        yield Reason(f"{name}_{metric}_s", value, "s", limit, f"{said}, {at}: {percentile} {in_time(value)}{against}.")


def _rate(per_s: float) -> str:
    return f"{amount(per_s)} request{'s' * (per_s != 1)}/s"


def _of_the_handoff(question: Question, split: TrialResult) -> Iterator[Reason]:
    candidate = split.candidate
    assert candidate.prefill
    assert candidate.decode
    shape, tp = question.shape, candidate.prefill.tp
    seconds = handoff_s(question, candidate)
    alone = prefill_s(shape, question.card, question.isl_tokens, cached=question.cached_tokens, tp=tp)
    road = question.handoff_road(tp + candidate.decode.tp, (candidate.prefill.replicas, candidate.decode.replicas))
    size = in_words(shape.kv_bytes(question.isl_tokens), "B")
    share = percent(seconds / alone)
    text = f"One prompt's KV, {size}, takes {in_time(seconds)} over {road.label}: {share} of its prefill."
    yield Reason("handoff_share", seconds / alone, "of the prefill", SHARE, text)
    if question.links_down:
        nbytes = shape.kv_bytes(question.isl_tokens)
        now_s, whole_s = question.road_now.link.seconds(nbytes), question.road.link.seconds(nbytes)
        text = f"Once repaired, {question.road.label} takes {in_time(whole_s)} for it instead of {in_time(now_s)}."
        yield Reason("handoff_mended_s", whole_s, "s", now_s, text)


def _of_the_load(question: Question, together: TrialResult | None) -> Iterator[Reason]:
    shape, card = question.shape, question.card
    least = smallest_tp(shape, card)
    tp, replicas = (
        (together.candidate.both.tp, together.candidate.both.replicas)
        if together and together.candidate.both
        else (least, 1)
    )
    alone = prefill_s(shape, card, question.isl_tokens, cached=question.cached_tokens, tp=tp)
    meets = question.rate_per_s * alone / replicas
    text = (
        f"One prompt's prefill of {question.uncached_tokens:,} tokens takes {in_time(alone)} alone; a worker would "
        f"prefill for {percent(meets)} of the time, and delay decode that often."
    )
    yield Reason("prefill_share", meets, "of a worker's time", 1.0, text)
    copies = question.gpus // least
    text = f"A split needs two copies of {shape.label}; {question.gpus} GPUs hold up to {copies}."
    yield Reason("copies", copies, "copies", 2, text)
