"""How sure a verdict is: whether other arrivals or efficiencies change it, or candidates lie too close together."""

from collections.abc import Iterator

from engine.fleet.advisor.advice import Variation
from engine.fleet.advisor.capacity import MARGIN, best, splitting_pays
from engine.fleet.advisor.plan import Verdict
from engine.fleet.advisor.search import Found, Progress, headroom_of
from engine.fleet.advisor.sensitivity import Scale
from engine.fleet.advisor.trial import keeps_at
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.estimate.step_cost import calibrated
from engine.units import percent

SEEDS = (1,)  # other arrivals, for the uncertainty
ARRIVALS = 0.15  # the share by which other arrivals may change a capacity
OFF = 0.2  # the share by which an efficiency may be off
PARTS = ("compute", "memory")


def close_call(verdict: Verdict, found: Found, uncertainty: tuple[Variation, ...], error: float) -> str:
    """Why the verdict is too close to call; empty if it is not."""
    turned = {variation.what for variation in uncertainty if variation.verdict != verdict}
    for part in PARTS:
        if {_changed(part, -OFF), _changed(part, OFF)} <= turned:
            return f"Too close to call: both {_changed(part, -OFF)} and {_changed(part, OFF)} change the verdict."
    if found.together and found.split:
        together, split = found.together.headroom, found.split.headroom
        near = min(together, split) > 0 and max(together, split) / min(together, split) < 1 + error
        if near and together < 1 + error:
            within = f"within the {percent(error)} that times may be off"
            return f"Too close to call: both kinds sustain the same rate {within}."
    if any(what.startswith("other arrivals") for what in turned):
        return "Too close to call: other arrivals change the verdict."
    return ""


def scale_of(found: Found) -> Scale:
    """Factors that make the formulas agree with the simulation at the simulated points."""
    foreseen = best(found.question)
    together = headroom_of(found.together) / foreseen.together if foreseen.together else 1.0
    split = headroom_of(found.split) / foreseen.split if foreseen.split else 1.0
    return together or 1.0, split or 1.0


def variations(found: Found, say: Progress) -> Iterator[Variation]:
    """The verdict with other arrivals, by simulation, and with other efficiencies, by formulas."""
    question = found.question
    for n, seed in enumerate(SEEDS if _near(found) else ()):
        say(0.65 + 0.2 * n / len(SEEDS), f"Other arrivals: seed {seed}")
        yield Variation(f"other arrivals (seed {seed})", _with_seed(found, seed))
    own = scale_of(found)
    for part in PARTS:
        for change in (-OFF, OFF):
            reached = calibrated(question.card, question.engine).scaled(**{part: 1 + change})
            yield Variation(_changed(part, change), _foreseen_verdict(found, own, reached))


def _near(found: Found) -> bool:
    """Whether other arrivals could change the verdict at all."""
    together, split = headroom_of(found.together), headroom_of(found.split)
    ratio = split / (MARGIN * together) if together else 0.0
    return (abs(together - 1) < ARRIVALS and split > 1) or (together < 1 and abs(ratio - 1) < ARRIVALS)


def _changed(part: str, change: float) -> str:
    return f"{percent(abs(change))} {'more' if change > 0 else 'less'} {part} efficiency"


def _with_seed(found: Found, seed: int) -> Verdict:
    """Does one pool keep the asked rate with these arrivals, too? And a split the rate at which it would pay?"""
    question, together, split = found.question, found.together, found.split
    if together and keeps_at(question, together.candidate, question.rate_per_s, seed):
        return _named(found, splits=False)
    needed = MARGIN * together.sustained_per_s if together else question.rate_per_s
    splits = split is not None and keeps_at(question, split.candidate, needed or question.rate_per_s, seed)
    return _named(found, splits=splits)


def _foreseen_verdict(found: Found, scale: Scale, reached: Calibration) -> Verdict:
    return _named(found, splits=splitting_pays(found.question, scale, reached))


def _named(found: Found, *, splits: bool) -> Verdict:
    one = found.split if splits else found.together
    if not splits and found.question.links_down:
        return "fix-first"
    return one.candidate.verdict if one else "disaggregate" if splits else "colocate-chunked"
