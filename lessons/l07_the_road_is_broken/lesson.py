"""A link that is down: nothing fails, all is slow. How to see it, and why it comes first."""

from collections.abc import Mapping
from pathlib import Path

from engine.log import Log
from engine.metrics import summarize
from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import choice, greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import (
    crowd,
    deployed,
    handoff_s,
    middle,
    ms,
    second_gap_s,
    shipped,
    ttft_s,
    usual_gap_s,
)

PROMPT, LONG_PROMPT = 256, 256
SOUND, BROKEN = 200.0, 3.0  # MB/s
FOLDS = {"ttft": ttft_s, "gap": second_gap_s, "usual": usual_gap_s}


def sound_and_broken(setting: float) -> Mapping[str, Scenario]:
    return {"sound": shipped(PROMPT, SOUND), "broken": shipped(PROMPT, BROKEN)}


def what_is_left(setting: float) -> Mapping[str, Scenario]:
    return {"left": shipped(PROMPT, setting)}


def other_kitchen(setting: float) -> Mapping[str, Scenario]:
    return {
        "broken road": deployed("disaggregated", crowd(LONG_PROMPT), mb_per_s=BROKEN),
        "no road": deployed("chunked", crowd(LONG_PROMPT)),
    }


def failures(log: Log) -> int:
    return sum(request.finished not in ("length", "stop") for request in summarize(log.events).requests)


def what_happens(evidence: Evidence) -> str:
    """What a user meets when the road is broken."""
    if sum(evidence.of("broken", failures)):
        return "fail"
    return "slow" if grown(evidence, "gap") > 1.5 else "same"


def grown(evidence: Evidence, name: str) -> float:
    """How many times a number is what it was on the sound road."""
    fold = FOLDS[name]
    return middle(evidence.of("broken", fold)) / middle(evidence.of("sound", fold))


def worst_s(log: Log) -> float:
    return summarize(log.events).metrics.max_stall_s


def slow_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "failed": f"{sum(evidence.of('broken', failures)):g}",
        "sound": ms(middle(evidence.of("sound", second_gap_s))),
        "broken": ms(middle(evidence.of("broken", second_gap_s))),
        **{name: f"{grown(evidence, name):.2g}" for name in FOLDS},
        "handoff": ms(middle(evidence.of("broken", handoff_s))),
    }


def kitchen_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "road": ms(middle(evidence.of("broken road", worst_s))),
        "none": ms(middle(evidence.of("no road", worst_s))),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Nothing has failed. Why is everything slow?",
    minutes=7,
    rounds=(
        Round(
            "broken",
            "The quick link goes down and traffic takes a slow one. What do users meet?",
            Choice(
                {
                    "fail": "requests fail with errors",
                    "slow": "all is served, later",
                    "same": "about the same as before",
                }
            ),
            key=lambda evidence: choice(what_happens(evidence)),
            runs=sound_and_broken,
            repeats=2,
            numbers=slow_words,
            view=lambda evidence: Bars(
                "ms", {run: tuple(s * 1e3 for s in evidence.of(run, second_gap_s)) for run in ("sound", "broken")}, True
            ),
        ),
        Round(
            "see",
            "Which number of a single request tells that the road is broken?",
            Choice(
                {
                    "ttft": "the time to its first token",
                    "gap": "the gap before its second token",
                    "usual": "the gaps after that",
                }
            ),
            key=lambda evidence: choice(max(FOLDS, key=lambda name: grown(evidence, name))),
            numbers=slow_words,
        ),
        Round(
            "left",
            "How wide is the road that is left? Say how long the gap before the second token is.",
            Number("ms", 10.0, 50_000.0),
            key=lambda evidence: number([s * 1e3 for s in evidence.of("left", second_gap_s)]),
            runs=what_is_left,
            repeats=2,
            knob=Knob("bandwidth left", (2.0, 6.0, 20.0), "{:g} MB/s".format),
            numbers=lambda evidence: {
                "left": f"{evidence.setting:g} MB/s",
                "handoff": ms(middle(evidence.of("left", handoff_s))),
            },
        ),
        Round(
            "check",
            "Until it is repaired: which kitchen has the longest pause in an answer?",
            Choice(
                {
                    "broken road": "two stations, joined by the broken road",
                    "no road": "two all-round cooks with small portions",
                    "same": "about the same",
                }
            ),
            key=lambda evidence: greatest({run: evidence.of(run, worst_s) for run in ("broken road", "no road")}),
            runs=other_kitchen,
            repeats=2,
            numbers=kitchen_words,
        ),
    ),
    claims=(
        Claim("On a broken road nothing fails", "broken", lambda evidence: sum(evidence.of("broken", failures)) == 0),
        Claim("But the handoff takes many times as long", "broken", lambda evidence: grown(evidence, "gap") > 3),
        Claim(
            "It shows in the gap before the second token, far less in TTFT or in later gaps",
            "see",
            lambda evidence: grown(evidence, "gap") > 2 * max(grown(evidence, "ttft"), grown(evidence, "usual")),
        ),
        Claim(
            "With a broken road, co-located with chunked prefill has the shorter worst pause",
            "check",
            lambda evidence: middle(evidence.of("no road", worst_s)) < middle(evidence.of("broken road", worst_s)),
        ),
    ),
)
