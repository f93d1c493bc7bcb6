"""Co-located, one step at a time: a long prefill stops every answer that is being written on its worker."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median

from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import greatest, number
from lessons.lesson import AsCook, Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Choice, Number
from lessons.runs import (
    LONG,
    SHORT,
    crowd,
    deployed,
    giant_step_s,
    in_ms,
    ms,
    ms_bars,
    named,
    of,
    stall_s,
    stalled,
    usual_s,
)

WITH, WITHOUT = "with the giant", "without it"
ONE, TWO = "one station", "two stations"


def one_station(setting: float) -> Mapping[str, Scenario]:
    return {WITH: deployed("colocated", crowd()), WITHOUT: deployed("colocated", crowd(SHORT))}


def giant_of(setting: float) -> Mapping[str, Scenario]:
    return {WITH: deployed("colocated", crowd(int(setting)))}


def separated(setting: float) -> Mapping[str, Scenario]:
    return {ONE: deployed("colocated", crowd()), TWO: deployed("disaggregated", crowd())}


def is_the_prefill(one: Evidence, run: str) -> bool:
    """Whether the pause is the giant's own step: as long, but for the token that ends it."""
    log = one.log(run)
    return abs(stall_s(log) - giant_step_s(log)) < 0.2 * giant_step_s(log) + 2 * usual_s(log)


def stall_words(one: Evidence) -> Mapping[str, str]:
    log = one.log(WITH)
    gaps = stalled(log).itl_s
    return {
        "usual": ms(usual_s(log)),
        "without": ms(stall_s(one.log(WITHOUT))),
        "prefill": ms(giant_step_s(log)),
        "tokens": f"{LONG}",
        "gaps": f"{len(gaps)}",
        "median": ms(median(gaps)),
        "mean": ms(fmean(gaps)),
        "longest": ms(max(gaps)),
    }


def giant_numbers(one: Evidence) -> Mapping[str, float]:
    log = one.log(WITH)
    return {
        "longest pause, ms": 1e3 * stall_s(log),
        "the giant's own step, ms": 1e3 * giant_step_s(log),
        "usual gap, ms": 1e3 * usual_s(log),
    }


def separated_words(one: Evidence) -> Mapping[str, str]:
    return {"one": ms(stall_s(one.log(ONE))), "two": ms(stall_s(one.log(TWO)))}


LESSON = Lesson(
    Path(__file__).parent,
    title="Why did everybody's answer stop when one long prompt came in?",
    minutes=5,
    rounds=(
        Round(
            "freeze",
            "How long is the longest pause that a short answer suffers?",
            Number("ms", 5.0, 20_000.0),
            key=lambda evidence: number(in_ms(evidence.only(WITH).each(of(WITH, stall_s))), duration=True),
            reasons=("Steps alternate, so hardly any", "As long as the long prompt's prefill", "Longer than that"),
            runs=one_station,
            most_repeats=9,
            numbers=stall_words,
            view=ms_bars(stall_s, WITH, WITHOUT, log=True),
            free=FreeKnob(
                Knob("giant order", (32.0, 64.0, 128.0, 256.0, 512.0, 768.0, 1024.0), "{:g} tokens".format),
                at=LONG,
                says="Make the giant longer or shorter: the pause follows it, and the usual gap does not.",
                runs=giant_of,
                numbers=giant_numbers,
            ),
            cook=AsCook(
                level=1,
                seed=1,
                says="Now be the cook: one station and three orders, one of them a giant. First prep the giant whole "
                "and count the answers that stand still. Then try to serve everybody without that.",
            ),
        ),
        Round(
            "check",
            "The same orders on the same two workers. Where does a short answer wait longest?",
            Choice(
                {
                    ONE: "two all-round cooks: each preps and plates",
                    TWO: "a prep station and a plating line",
                    "same": "about the same",
                }
            ),
            key=lambda evidence: greatest(evidence.each(named(stall_s, ONE, TWO))),
            runs=separated,
            numbers=separated_words,
            view=ms_bars(stall_s, ONE, TWO),
        ),
    ),
    claims=(
        Claim(
            "A long prefill freezes the answers on its worker for many times their usual gap, as long as it runs.",
            "freeze",
            lambda one: stall_s(one.log(WITH)) > 6 * usual_s(one.log(WITH)) and is_the_prefill(one, WITH),
            otherwise="On your runs the longest pause is not many times a usual gap, or not the giant's prefill.",
            name="freezes",
        ),
        Claim(
            "Without the giant there is no such pause.",
            "freeze",
            lambda one: stall_s(one.log(WITHOUT)) < min(0.3 * stall_s(one.log(WITH)), 5 * usual_s(one.log(WITHOUT))),
            otherwise="On your runs there is a long pause without the giant too.",
            name="giant",
        ),
        Claim(
            "With prefill on another worker, the same prompt freezes nobody for that long.",
            "check",
            lambda one: stall_s(one.log(TWO)) < 0.4 * stall_s(one.log(ONE)),
            otherwise="On your runs separate stations leave more than two fifths of the longest pause.",
            name="apart",
        ),
    ),
)
