"""Bandwidth, overlap and the first token: when shipping a tray is worth it."""

import math
from collections.abc import Mapping
from pathlib import Path

from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.ruler import Pace, scale_ruler
from engine.log import Log
from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import choice, curve, greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Curve, Lines, Number
from lessons.runs import (
    curve_points,
    handoff_bytes,
    handoff_s,
    middle,
    ms,
    prefill_s,
    second_gap_s,
    shipped,
    ttft_s,
    usual_gap_s,
)

PROMPT = 256
ROADS = (5.0, 15.0, 50.0, 150.0)
SLOW, QUICK = f"{ROADS[0]:g}", f"{ROADS[-1]:g}"
EVEN = 15.0  # MB/s at which the road is about as quick as prefill: overlap shows best there


def roads(setting: float) -> Mapping[str, Scenario]:
    return {f"{road:g}": shipped(PROMPT, road) for road in ROADS}


def both_ways(setting: float) -> Mapping[str, Scenario]:
    return {ship: shipped(PROMPT, EVEN, ship=ship) for ship in ("whole", "layers")}


def both_samplers(setting: float) -> Mapping[str, Scenario]:
    return {who: shipped(PROMPT, ROADS[0], first_token=who) for who in ("prefill", "decode")}


def one_road(setting: float) -> Mapping[str, Scenario]:
    return {"road": shipped(PROMPT, setting)}


def gap_words(evidence: Evidence) -> Mapping[str, str]:
    log = evidence.logs[SLOW][0]
    return {
        "slow": SLOW,
        "quick": QUICK,
        "slow_gap": ms(middle(evidence.of(SLOW, second_gap_s))),
        "quick_gap": ms(middle(evidence.of(QUICK, second_gap_s))),
        "usual": ms(middle(evidence.of(QUICK, usual_gap_s))),
        "computed": ms(log.scenario.link.seconds(int(handoff_bytes(log)))),
        "shipped": ms(middle(evidence.of(SLOW, handoff_s))),
    }


def crossing_mb_per_s(evidence: Evidence) -> tuple[float, ...]:
    """Where the measured handoff takes as long as the prefill, for each repeat: between two roads on log axes."""
    found = []
    for repeat in range(len(evidence.logs[SLOW])):
        logs = [evidence.logs[f"{road:g}"][repeat] for road in ROADS]
        ratios = [handoff_s(log) / prefill_s(log) for log in logs]
        at = next((n for n in range(len(ROADS) - 2) if ratios[n + 1] <= 1), len(ROADS) - 2)
        (road, later), (high, low) = ROADS[at : at + 2], ratios[at : at + 2]
        share = math.log(high) / math.log(high / low)
        found.append(road * (later / road) ** share)
    return tuple(found)


def formula_mb_per_s(evidence: Evidence) -> float:
    """KV bytes per token over prefill seconds per token, from all roads: the road has no part in it."""
    return middle(tuple(handoff_bytes(log) / prefill_s(log) / 1e6 for logs in evidence.logs.values() for log in logs))


def ruler_words(evidence: Evidence) -> Mapping[str, str]:
    log = evidence.logs[SLOW][0]
    live = Pace(handoff_bytes(log) / PROMPT, middle(evidence.of(SLOW, prefill_s)) / PROMPT)
    ruler = scale_ruler(live, model("llama-3.1-8b"), gpu("h100-sxm"))
    wanted = ("nvlink4", "pcie5", "ib-400g", "eth-100g", "eth-10g", "tcp")
    marks = [mark for mark in ruler.marks if mark.fabric in wanted]
    return {
        "formula": f"{formula_mb_per_s(evidence):.3g} MB/s",
        "per_token": f"{live.kv_bytes_per_token:,.0f} bytes",
        "prefill": f"{live.prefill_s_per_token * 1e3:.2g} ms",
        "ruler": "\n".join(f"- {mark.label}: like {mark.bytes_per_s / 1e6:.3g} MB/s here" for mark in marks),
        "assumes": ruler.assumes,
    }


def overlap_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "whole": ms(middle(evidence.of("whole", second_gap_s))),
        "layers": ms(middle(evidence.of("layers", second_gap_s))),
        "prefill": ms(middle(evidence.of("whole", prefill_s))),
        "handoff": ms(middle(evidence.of("whole", handoff_s))),
    }


def hidden_s(evidence: Evidence) -> float:
    """By how much shipping layer by layer shortens the gap."""
    return middle(evidence.of("whole", second_gap_s)) - middle(evidence.of("layers", second_gap_s))


def who_waits(evidence: Evidence) -> str:
    """What the decode worker's sampling makes longer, against the prefill worker's."""
    grown = {
        name: middle(evidence.of("decode", fold)) / middle(evidence.of("prefill", fold))
        for name, fold in (("ttft", ttft_s), ("gap", second_gap_s))
    }
    name = max(grown, key=grown.__getitem__)
    return name if grown[name] > 1.15 else "same"


def sampler_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        f"{who}_{name}": ms(middle(evidence.of(who, fold)))
        for who in ("prefill", "decode")
        for name, fold in (("ttft", ttft_s), ("gap", second_gap_s))
    }


def keeps_to_the_formula(log: Log) -> bool:
    computed = log.scenario.link.seconds(int(handoff_bytes(log)))
    return abs(handoff_s(log) / computed - 1) < 0.05


LESSON = Lesson(
    Path(__file__).parent,
    title="When is carrying it over slower than making it anew?",
    minutes=12,
    rounds=(
        Round(
            "gap",
            "How long is the gap before the second token, for each road? Draw it.",
            Curve(ROADS, "bandwidth, MB/s", "gap before token 2", "ms", 10.0, 10_000.0),
            key=lambda evidence: curve([[s * 1e3 for s in evidence.of(f"{r:g}", second_gap_s)] for r in ROADS]),
            runs=roads,
            repeats=2,
            numbers=gap_words,
        ),
        Round(
            "break-even",
            "On which road does carrying a tray take as long as prepping it?",
            Number("MB/s", 0.1, 10_000.0),
            key=lambda evidence: number(crossing_mb_per_s(evidence)),
            numbers=ruler_words,
            view=lambda evidence: Lines(
                "MB/s",
                "seconds",
                {
                    "handoff": curve_points({r: evidence.of(f"{r:g}", handoff_s) for r in ROADS}),
                    "prefill": curve_points({r: evidence.of(f"{r:g}", prefill_s) for r in ROADS}),
                },
            ),
        ),
        Round(
            "overlap",
            "Which way of shipping leaves the longer gap before the second token?",
            Choice(
                {"whole": "the whole tray at the end", "layers": "each layer as it is made", "same": "about the same"}
            ),
            key=lambda evidence: greatest({ship: evidence.of(ship, second_gap_s) for ship in ("whole", "layers")}),
            runs=both_ways,
            numbers=overlap_words,
            view=lambda evidence: Bars(
                "ms", {ship: tuple(s * 1e3 for s in evidence.of(ship, second_gap_s)) for ship in ("whole", "layers")}
            ),
        ),
        Round(
            "first-token",
            "On a slow road, the decode worker samples token 1 instead of the prefill worker. What gets longer?",
            Choice({"ttft": "the wait for token 1", "gap": "the gap before token 2", "same": "neither"}),
            key=lambda evidence: choice(who_waits(evidence)),
            runs=both_samplers,
            repeats=2,
            numbers=sampler_words,
        ),
        Round(
            "check",
            "Choose a road. How long is the gap before the second token?",
            Number("ms", 10.0, 20_000.0),
            key=lambda evidence: number([s * 1e3 for s in evidence.of("road", second_gap_s)]),
            runs=one_road,
            knob=Knob("road", (3.0, 10.0, 100.0), "{:g} MB/s".format),
            numbers=lambda evidence: {
                "road": f"{evidence.setting:g} MB/s",
                "shipped": ms(middle(evidence.of("road", handoff_s))),
                "usual": ms(middle(evidence.of("road", usual_gap_s))),
            },
        ),
    ),
    claims=(
        Claim(
            "A slower road makes the gap before the second token longer",
            "gap",
            lambda evidence: min(evidence.of(SLOW, second_gap_s)) > 2 * max(evidence.of(QUICK, second_gap_s)),
        ),
        Claim(
            "A handoff takes latency plus bytes over bandwidth, within 5 %",
            "gap",
            lambda evidence: all(keeps_to_the_formula(log) for log in (*evidence.logs[SLOW], *evidence.logs["15"])),
        ),
        Claim(
            "Break-even: KV bytes per token over prefill seconds per token, within 25 % of the measured crossing",
            "break-even",
            lambda evidence: abs(middle(crossing_mb_per_s(evidence)) / formula_mb_per_s(evidence) - 1) < 0.25,
        ),
        Claim(
            "Shipping layer by layer hides most of the handoff behind the prefill",
            "overlap",
            lambda evidence: hidden_s(evidence) > 0.5 * middle(evidence.of("whole", handoff_s)),
        ),
        Claim(
            "If the decode worker samples token 1, the handoff is part of TTFT",
            "first-token",
            lambda evidence: who_waits(evidence) == "ttft",
        ),
    ),
)
