"""Chunked prefill: how small the pieces, how short the freeze, and what it costs the long prompt."""

from collections.abc import Mapping
from pathlib import Path

from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import curve, greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Curve, Number
from lessons.runs import LONG, crowd, deployed, long_ttft_s, middle, ms, stall_s

CHUNKS = (16.0, 64.0, 128.0, 256.0)
SMALLEST, LARGEST = f"{CHUNKS[0]:g}", f"{CHUNKS[-1]:g}"


def pieces(setting: float) -> Mapping[str, Scenario]:
    return {f"{chunk:g}": deployed("chunked", crowd(), chunk=int(chunk)) for chunk in CHUNKS}


def against_whole(setting: float) -> Mapping[str, Scenario]:
    return {"whole": deployed("colocated", crowd()), "small": deployed("chunked", crowd(), chunk=int(CHUNKS[0]))}


def chosen(setting: float) -> Mapping[str, Scenario]:
    return {"chosen": deployed("chunked", crowd(), chunk=int(setting))}


def stall_of(evidence: Evidence, run: str) -> float:
    return middle(evidence.of(run, stall_s))


def ttft_of(evidence: Evidence, run: str) -> float:
    return middle(evidence.of(run, long_ttft_s))


def piece_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "small_stall": ms(stall_of(evidence, SMALLEST)),
        "large_stall": ms(stall_of(evidence, LARGEST)),
        "small": SMALLEST,
        "large": LARGEST,
    }


def price_words(evidence: Evidence) -> Mapping[str, str]:
    whole, small = ttft_of(evidence, "whole"), ttft_of(evidence, "small")
    return {
        "whole": ms(whole),
        "small": ms(small),
        "price": f"{small / whole:.2f}",
        "pieces": f"{LONG / CHUNKS[0]:g}",
        "whole_stall": ms(stall_of(evidence, "whole")),
        "small_stall": ms(stall_of(evidence, "small")),
    }


def chosen_words(evidence: Evidence) -> Mapping[str, str]:
    return {"chunk": f"{evidence.setting:g}", "stall": ms(stall_of(evidence, "chosen"))}


LESSON = Lesson(
    Path(__file__).parent,
    title="Can one cook do both, if nothing on the board is ever big?",
    minutes=8,
    rounds=(
        Round(
            "curve",
            "How does the longest pause of a short answer depend on the size of the pieces? Draw it.",
            Curve(CHUNKS, "tokens in a step", "longest pause", "ms", 10.0, 10_000.0),
            key=lambda evidence: curve([[s * 1e3 for s in evidence.of(f"{c:g}", stall_s)] for c in CHUNKS]),
            reasons=("It grows with the piece", "It is always the whole prefill", "Any cutting removes it"),
            runs=pieces,
            repeats=2,
            numbers=piece_words,
        ),
        Round(
            "price",
            "When does the long prompt's own first token come later?",
            Choice(
                {
                    "whole": "when its prefill runs whole",
                    "small": "when it is cut into the smallest pieces",
                    "same": "about the same",
                }
            ),
            key=lambda evidence: greatest({run: evidence.of(run, long_ttft_s) for run in ("whole", "small")}),
            runs=against_whole,
            numbers=price_words,
            view=lambda evidence: Bars(
                "ms", {run: tuple(s * 1e3 for s in evidence.of(run, long_ttft_s)) for run in ("whole", "small")}
            ),
        ),
        Round(
            "check",
            "Choose the size of the pieces. How long until the long prompt's first token?",
            Number("ms", 10.0, 50_000.0),
            key=lambda evidence: number([s * 1e3 for s in evidence.of("chosen", long_ttft_s)]),
            runs=chosen,
            knob=Knob("tokens in a step", (32.0, 64.0, 256.0), "{:g} tokens".format),
            numbers=chosen_words,
        ),
    ),
    claims=(
        Claim(
            "Smaller pieces make a shorter freeze",
            "curve",
            lambda evidence: stall_of(evidence, SMALLEST) < 0.6 * stall_of(evidence, LARGEST),
        ),
        Claim(
            "Cut small, the same prompt freezes the others far less than whole",
            "price",
            lambda evidence: stall_of(evidence, "small") < 0.6 * stall_of(evidence, "whole"),
        ),
        Claim(
            "The smallest pieces make the long prompt wait longer for its own first token",
            "price",
            lambda evidence: ttft_of(evidence, "small") > 1.1 * ttft_of(evidence, "whole"),
        ),
    ),
)
