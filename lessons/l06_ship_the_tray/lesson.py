"""Bandwidth, overlap and the first token: when shipping a tray is worth it."""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.ruler import Pace, scale_ruler
from engine.log import Log
from engine.scenario import Scenario
from engine.units import amount
from lessons.evidence import CannotTell, Evidence
from lessons.keys import greatest, number
from lessons.lesson import Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Choice, Lines, Number
from lessons.runs import (
    handoff_bytes,
    handoff_s,
    middle,
    ms,
    ms_bars,
    named,
    prefill_s,
    second_gap_s,
    shipped,
    ttft_s,
    usual_gap_s,
)

PROMPT = 256
ROADS = (5.0, 15.0, 50.0, 150.0)
SLOW, QUICK = f"{ROADS[0]:g}", f"{ROADS[-1]:g}"
FABRICS = ("nvlink4", "pcie5", "ib-400g", "eth-100g", "eth-10g", "tcp")  # on the ruler
EVEN = 30.0  # MB/s at which shipping takes about as long as prefill on a usual core: overlap shows best there


def roads(setting: float) -> Mapping[str, Scenario]:
    return {f"{road:g}": shipped(PROMPT, road) for road in ROADS}


def a_road(setting: float) -> Mapping[str, Scenario]:
    return {f"{ROADS[1]:g}": shipped(PROMPT, setting)}


def road_numbers(one: Evidence) -> Mapping[str, float]:
    log = one.log(f"{ROADS[1]:g}")
    return {
        "handoff, ms": 1e3 * handoff_s(log),
        "prefill, ms": 1e3 * prefill_s(log),
        "gap before token 2, ms": 1e3 * second_gap_s(log),
    }


def both_ways(setting: float) -> Mapping[str, Scenario]:
    return {ship: shipped(PROMPT, EVEN, ship=ship) for ship in ("whole", "layers")}


def both_samplers(setting: float) -> Mapping[str, Scenario]:
    return {f"{who} samples": shipped(PROMPT, ROADS[0], first_token=who) for who in ("prefill", "decode")}


def crossing_mb_per_s(one: Evidence) -> float:
    """Where the measured handoff takes as long as the prefill: between two roads, on logarithmic axes. Raises
    CannotTell where that is on no road that was run, nor between two."""
    ratios = [handoff_s(log) / prefill_s(log) for log in (one.log(f"{road:g}") for road in ROADS)]
    for (road, ratio), (wider, less) in pairwise(zip(ROADS, ratios, strict=True)):
        if ratio >= 1 > less:
            share = math.log(ratio) / math.log(ratio / less)
            return float(road * (wider / road) ** share)
    where = f"below {SLOW}" if ratios[0] < 1 else f"above {QUICK}"
    raise CannotTell(f"On this machine the two would be equal {where} MB/s, and no such road was run.")


def formula_mb_per_s(one: Evidence) -> float:
    """KV bytes per token over prefill seconds per token, from all roads: the road has no part in it."""
    return middle([handoff_bytes(log) / prefill_s(log) / 1e6 for log in (one.log(f"{road:g}") for road in ROADS)])


def even_words(one: Evidence) -> Mapping[str, str]:
    log = one.log(SLOW)
    live = Pace(handoff_bytes(log) / PROMPT, handoff_bytes(log) / PROMPT / formula_mb_per_s(one) / 1e6)
    ruler = scale_ruler(live, model("llama-3.1-8b"), gpu("h100-sxm"))
    marks = [mark for mark in ruler.marks if mark.fabric in FABRICS]
    return {
        "slow": SLOW,
        "quick": QUICK,
        "slow_gap": ms(second_gap_s(log)),
        "quick_gap": ms(second_gap_s(one.log(QUICK))),
        "usual": ms(usual_gap_s(one.log(QUICK))),
        "computed": ms(log.scenario.link.seconds(int(handoff_bytes(log)))),
        "shipped": ms(handoff_s(log)),
        "formula": amount(formula_mb_per_s(one), "MB/s"),
        "per_token": f"{live.kv_bytes_per_token:,.0f} bytes",
        "prefill": f"{live.prefill_s_per_token * 1e3:.2g} ms",
        "ruler": "\n".join(f"- {mark.label}: {amount(mark.bytes_per_s / 1e6)} MB/s here" for mark in marks),
        "assumes": ruler.assumes,
    }


def roads_view(evidence: Evidence, told: int | None) -> Lines:
    """Handoff and prefill over each road, and where they are equal by the formula."""
    one = evidence.repeats[told or 0]
    shipped_s, read_s = (tuple((road, fold(one.log(f"{road:g}"))) for road in ROADS) for fold in (handoff_s, prefill_s))
    lowest, highest = min(s for _, s in shipped_s), max(s for _, s in shipped_s)
    at = formula_mb_per_s(one)
    return Lines(
        "MB/s",
        "seconds",
        {"handoff": shipped_s, "prefill": read_s},
        {"equal by the formula": ((at, lowest), (at, highest))},
    )


def overlap_words(one: Evidence) -> Mapping[str, str]:
    whole, layers = one.log("whole"), one.log("layers")
    return {
        "whole": ms(second_gap_s(whole)),
        "layers": ms(second_gap_s(layers)),
        "prefill": ms(prefill_s(whole)),
        "handoff": ms(handoff_s(whole)),
    }


def hidden(one: Evidence) -> bool:
    """Whether shipping layer by layer takes most of the handoff out of the gap."""
    whole, layers = one.log("whole"), one.log("layers")
    return second_gap_s(whole) - second_gap_s(layers) > 0.5 * handoff_s(whole)


def longer_by(one: Evidence) -> dict[str, float]:
    """What the decode worker's sampling makes longer, against the prefill worker's: each in times."""
    theirs, ours = one.log("decode samples"), one.log("prefill samples")
    return {"ttft": ttft_s(theirs) / ttft_s(ours), "gap": second_gap_s(theirs) / second_gap_s(ours)}


def in_ttft(one: Evidence) -> bool:
    """Whether TTFT has grown by most of the handoff."""
    theirs, ours = one.log("decode samples"), one.log("prefill samples")
    return ttft_s(theirs) > ttft_s(ours) + 0.8 * handoff_s(theirs)


def sampler_words(one: Evidence) -> Mapping[str, str]:
    return {
        f"{who}_{name}": ms(fold(one.log(f"{who} samples")))
        for who in ("prefill", "decode")
        for name, fold in (("ttft", ttft_s), ("gap", second_gap_s))
    }


def keeps_to_the_formula(log: Log) -> bool:
    computed = log.scenario.link.seconds(int(handoff_bytes(log)))
    return abs(handoff_s(log) / computed - 1) < 0.05


LESSON = Lesson(
    Path(__file__).parent,
    title="When is carrying it over slower than making it again?",
    minutes=8,
    rounds=(
        Round(
            "break-even",
            "On which road does carrying a tray take as long as prepping it?",
            Number("MB/s", 0.1, 10_000.0),
            key=lambda evidence: number(evidence.each(crossing_mb_per_s)),
            reasons=("The tray is small, so on nearly any", "Prepping is slow here, so on a narrow one"),
            runs=roads,
            run_says="{} MB/s",
            most_repeats=9,
            numbers=even_words,
            view=roads_view,
            free=FreeKnob(
                Knob("road", (2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 150.0, 500.0), "{:g} MB/s".format),
                at=ROADS[1],
                says="Widen the road: the handoff shrinks in proportion, the gap only until a decode step is left.",
                runs=a_road,
                numbers=road_numbers,
            ),
        ),
        Round(
            "overlap",
            "Which way of shipping leaves the longer gap before the second token?",
            Choice(
                {"whole": "the whole tray at the end", "layers": "each layer as it is made", "same": "about the same"}
            ),
            key=lambda evidence: greatest(evidence.each(named(second_gap_s, "whole", "layers"))),
            runs=both_ways,
            numbers=overlap_words,
            view=ms_bars(second_gap_s, "whole", "layers"),
        ),
        Round(
            "first-token",
            "On a slow road, the decode worker samples token 1 instead of the prefill worker. What gets longer?",
            Choice({"ttft": "the wait for token 1", "gap": "the gap before token 2"}),
            key=lambda evidence: greatest(evidence.each(longer_by), same=None),
            runs=both_samplers,
            repeats=2,
            numbers=sampler_words,
        ),
    ),
    claims=(
        Claim(
            "Break-even: KV bytes per token over prefill seconds per token, within 25 % of the measured crossing.",
            "break-even",
            lambda one: abs(crossing_mb_per_s(one) / formula_mb_per_s(one) - 1) < 0.25,
            otherwise="On your runs the measured crossing is more than 25 % from the formula's.",
            name="even",
        ),
        Claim(
            "A slower road makes the gap before the second token longer.",
            "break-even",
            lambda one: second_gap_s(one.log(SLOW)) > 4 * second_gap_s(one.log(QUICK)),
            otherwise="On your runs the slowest road makes the gap at most four times as long.",
            name="slower",
        ),
        Claim(
            "A handoff takes latency plus bytes over bandwidth, within 5 %.",
            "break-even",
            lambda one: keeps_to_the_formula(one.log(SLOW)) and keeps_to_the_formula(one.log("15")),
            otherwise="On your runs a handoff is more than 5 % off the formula.",
            name="formula",
        ),
        Claim(
            "Shipping layer by layer hides most of the handoff behind the prefill.",
            "overlap",
            hidden,
            otherwise="On your runs shipping layer by layer hides less than half of the handoff.",
            name="hides",
        ),
        Claim(
            "If the decode worker samples token 1, the handoff is part of TTFT.",
            "first-token",
            in_ttft,
            otherwise="On your runs TTFT does not grow by the handoff.",
            name="moves",
        ),
    ),
)
