"""What would change a verdict: the formulas of `capacity`, scaled to agree with the simulation at the asked point."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from engine.fleet.advisor.advice import Flip, Tier
from engine.fleet.advisor.candidates import colocated
from engine.fleet.advisor.capacity import Best, best, ranking, splitting_pays
from engine.fleet.advisor.plan import SAID
from engine.fleet.advisor.question import MAX_GPUS, Question
from engine.fleet.catalog.hardware import FabricSpec, fabric, fabrics
from engine.units import amount, percent

Field = Literal["rate_per_s", "isl_tokens", "osl_tokens", "itl_slo_s", "ttft_slo_s"]
FIELDS: dict[Field, tuple[str, str]] = {
    "rate_per_s": ("rate", "requests/s"),
    "isl_tokens": ("prompt", "tokens"),
    "osl_tokens": ("answer", "tokens"),
    "itl_slo_s": ("ITL target", "s"),
    "ttft_slo_s": ("TTFT target", "s"),
}
FARTHEST = 64.0  # an input is changed by at most this factor
PRECISION = 1.02
JUST_ABOVE = 1.02
REUSES = (0.25, 0.5, 0.75, 0.9)


Scale = tuple[float, float]  # simulated over computed capacity: of one pool, of splitting


def flips(question: Question, scale: Scale) -> list[Flip]:
    """For each input, the nearest change that by itself changes the verdict. Ones that never do are left out."""
    splits_now = splitting_pays(question, scale)

    def differs(other: Question) -> bool:
        return splitting_pays(other, scale) != splits_now

    found: list[Flip] = []
    for field, (name, unit) in FIELDS.items() if not question.trace else ():
        now = getattr(question, field)
        for at in _nearest(question, field, differs):
            way = "above" if at > now else "below"
            changed = msgspec.structs.replace(question, **{field: at})
            there = best(changed, scale)
            sentence = f"{name} {way} {_number(at)} {unit} (now {_number(now)}): {_said(there)}."
            found.append(Flip(field, now, at, unit, there.verdict, _first_big(sentence)))
    found += _of_reuse(question, scale, differs)
    found += _of_fabric(question, scale, differs)
    return found


def next_tier(question: Question, scale: Scale) -> Tier | None:
    """The first of 1, 2, 4 ... times the GPUs on which splitting sustains a rate that no co-located plan does.

    Only rates above the asked one count.
    """
    gpus = question.gpus
    while gpus <= min(MAX_GPUS, max(128, question.gpus)):
        road = question.road if _reaches(question, gpus, question.road) else fabric(question.card.network)
        larger = msgspec.structs.replace(question, gpus=gpus, fabric=road.name, links_down=0, trace=())
        rate = JUST_ABOVE * question.rate_per_s * best(larger, scale).together
        there = best(msgspec.structs.replace(larger, rate_per_s=rate), scale) if rate > 0 else None
        if there and there.pays and there.split >= 1 and there.split_candidate and rate > question.rate_per_s:
            shape = there.split_candidate.label
            sentence = (
                f"on {gpus} GPUs over {road.label}, above {amount(rate)} requests/s, no co-located plan meets the "
                f"targets, and {shape} does."
            )
            return Tier(gpus, rate, road.name, shape, sentence)
        gpus *= 2
    return None


def fewest_gpus(question: Question, scale: Scale) -> int | None:
    """How many of these GPUs sustain the rate without splitting; None if even all of them do not."""
    sizes = [gpus for gpus in (1, 2, 4, 8, 16, 32, 64, 128, 256) if gpus < question.gpus] + [question.gpus]
    for gpus in sizes:
        fewer = msgspec.structs.replace(question, gpus=gpus)
        found = ranking(fewer, colocated(fewer))
        if found and scale[0] * found[0][0] >= question.rate_per_s:
            return gpus
    return None


def _reaches(question: Question, gpus: int, road: FabricSpec) -> bool:
    return road.kind in ("rdma", "tcp") or road.name == "nvl72" or gpus <= question.card.node_gpus


def _nearest(question: Question, field: Field, differs: Callable[[Question], bool]) -> Iterator[float]:
    """The nearest value above and the nearest below the present one at which the verdict differs."""
    now = getattr(question, field)
    whole = isinstance(now, int)

    def at(value: float) -> Question:
        return msgspec.structs.replace(question, **{field: max(1, round(value)) if whole else value})

    for step in (2.0, 0.5):
        inside, outside = float(now), float(now) * step
        while not differs(at(outside)):
            inside, outside = outside, outside * step
            if not 1 / FARTHEST <= outside / now <= FARTHEST or (whole and outside < 1):
                break
        else:
            while max(outside / inside, inside / outside) > PRECISION:
                middle = (inside * outside) ** 0.5
                inside, outside = (inside, middle) if differs(at(middle)) else (middle, outside)
            yield max(1, round(outside)) if whole else outside


def _of_reuse(question: Question, scale: Scale, differs: Callable[[Question], bool]) -> Iterator[Flip]:
    now = question.prefix_reuse
    for reuse in sorted((*REUSES, 0.0), key=lambda reuse: abs(reuse - now)):
        changed = msgspec.structs.replace(question, prefix_reuse=reuse)
        if reuse != now and differs(changed):
            there = best(changed, scale)
            sentence = f"Prefix reuse of {percent(reuse)} (now {percent(now)}): {_said(there)}."
            yield Flip("prefix_reuse", now, reuse, "", there.verdict, sentence)
            return


def _of_fabric(question: Question, scale: Scale, differs: Callable[[Question], bool]) -> Iterator[Flip]:
    now = question.road
    able = [road for road in fabrics().values() if _reaches(question, question.gpus, road)]
    able.sort(key=lambda road: abs(road.achieved_bytes_per_s - now.achieved_bytes_per_s))
    for road in able:
        changed = msgspec.structs.replace(question, fabric=road.name, links_down=0)
        if differs(changed):
            there = best(changed, scale)
            sentence = f"KV over {road.label} instead of {now.label}: {_said(there)}."
            yield Flip("fabric", now.name, road.name, "", there.verdict, sentence)
            return


def _said(there: Best) -> str:
    meets = max(there.together, there.split) >= 1
    return SAID[there.verdict] if meets else f"{SAID[there.verdict]}, though nothing meets both targets"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else amount(value)


def _first_big(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
