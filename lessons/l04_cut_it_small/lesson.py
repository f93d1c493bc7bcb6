"""Chunked prefill: how small the pieces, how short the freeze, and what it costs the long prompt."""

from collections.abc import Mapping
from pathlib import Path

from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import curve, greatest
from lessons.lesson import AsCook, Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Choice, Curve
from lessons.runs import crowd, deployed, long_ttft_s, ms, ms_bars, named, stall_s, usual_s

CHUNKS = (16.0, 64.0, 128.0, 256.0)
LONGER, CUT = 768, 16  # tokens: of a long prompt, and of a step
SMALLEST, LARGEST = f"{CHUNKS[0]:g}", f"{CHUNKS[-1]:g}"


def pieces(setting: float) -> Mapping[str, Scenario]:
    return {f"{chunk:g}": deployed("chunked", crowd(), chunk=int(chunk)) for chunk in CHUNKS}


def against_whole(setting: float) -> Mapping[str, Scenario]:
    return {"whole": deployed("colocated", crowd(LONGER)), "small": deployed("chunked", crowd(LONGER), chunk=CUT)}


def chosen(setting: float) -> Mapping[str, Scenario]:
    return {"small": deployed("chunked", crowd(LONGER), chunk=int(setting))}


def stall_curve(one: Evidence) -> list[float]:
    return [1e3 * stall_s(one.log(f"{chunk:g}")) for chunk in CHUNKS]


def piece_words(one: Evidence) -> Mapping[str, str]:
    small, large = one.log(SMALLEST), one.log(LARGEST)
    return {
        "small_stall": ms(stall_s(small)),
        "large_stall": ms(stall_s(large)),
        "usual": ms(usual_s(small)),
        "small": SMALLEST,
        "large": LARGEST,
    }


def price_words(one: Evidence) -> Mapping[str, str]:
    whole, small = one.log("whole"), one.log("small")
    return {
        "whole": ms(long_ttft_s(whole)),
        "small": ms(long_ttft_s(small)),
        "price": f"{long_ttft_s(small) / long_ttft_s(whole):.1f}",
        "tokens": f"{LONGER}",
        "cut": f"{CUT}",
        "whole_stall": ms(stall_s(whole)),
        "small_stall": ms(stall_s(small)),
    }


def chosen_numbers(one: Evidence) -> Mapping[str, float]:
    log = one.log("small")
    return {
        "longest pause of the others, ms": 1e3 * stall_s(log),
        "the long prompt's first token, ms": 1e3 * long_ttft_s(log),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Can one cook do both, if nothing on the board is ever big?",
    minutes=6,
    rounds=(
        Round(
            "curve",
            "How long is the longest pause of a short answer, for each size of a step? Draw it.",
            Curve(CHUNKS, "tokens in a step", "longest pause", "ms", 10.0, 10_000.0),
            key=lambda evidence: curve(evidence.each(stall_curve), duration=True),
            reasons=("It grows with the piece", "It is always the whole prefill", "Any cutting removes it"),
            runs=pieces,
            run_says="{} tokens in a step",
            most_repeats=6,
            numbers=piece_words,
            cook=AsCook(
                level=1,
                seed=1,
                says="Now cut by hand: prep the giant in portions, each in one step with a token for every plate. The "
                "longest stall shrinks; see what happens to the mean time to first token.",
            ),
        ),
        Round(
            "price",
            "When does the long prompt's own first token come later?",
            Choice(
                {
                    "whole": "when its prefill runs whole",
                    "small": "when it is cut into small pieces",
                    "same": "about the same",
                }
            ),
            key=lambda evidence: greatest(evidence.each(named(long_ttft_s, "whole", "small"))),
            runs=against_whole,
            numbers=price_words,
            view=ms_bars(long_ttft_s, "whole", "small"),
            free=FreeKnob(
                Knob("tokens in a step", (16.0, 32.0, 64.0, 128.0, 256.0, 512.0), "{:g} tokens".format),
                at=CUT,
                says="Operators turn this knob. Find the largest step that keeps a pause you would promise.",
                runs=chosen,
                numbers=chosen_numbers,
            ),
        ),
    ),
    claims=(
        Claim(
            "Smaller pieces make a shorter freeze.",
            "curve",
            lambda one: stall_s(one.log(SMALLEST)) < 0.6 * stall_s(one.log(LARGEST)),
            otherwise="On your runs the smallest steps leave more than three fifths of the pause of the largest.",
            name="shorter",
        ),
        Claim(
            "Cut small, the same prompt freezes the others far less than whole.",
            "price",
            lambda one: stall_s(one.log("small")) < 0.4 * stall_s(one.log("whole")),
            otherwise="On your runs cutting the prompt leaves more than two fifths of the others' pause.",
            name="spared",
        ),
        Claim(
            "Small pieces make the long prompt wait longer for its own first token.",
            "price",
            lambda one: long_ttft_s(one.log("small")) > 1.15 * long_ttft_s(one.log("whole")),
            otherwise="On your runs the long prompt pays little for being cut.",
            name="pays",
        ),
    ),
)
