"""Co-located, one step at a time: a long prefill stops every decode on its worker."""

from collections.abc import Mapping
from pathlib import Path

from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import LONG, SHORT, crowd, deployed, middle, ms, prefill_s_per_token, requests, stall_s


def one_station(setting: float) -> Mapping[str, Scenario]:
    return {"with the giant": deployed("colocated", crowd()), "without it": deployed("colocated", crowd(SHORT))}


def giant(setting: float) -> Mapping[str, Scenario]:
    return {"giant": deployed("colocated", crowd(int(setting)))}


def separated(setting: float) -> Mapping[str, Scenario]:
    return {"one station": deployed("colocated", crowd()), "two stations": deployed("disaggregated", crowd())}


def usual_s(evidence: Evidence, run: str) -> float:
    """The median gap between tokens of the short requests."""
    return middle(tuple(gap for log in evidence.logs[run] for r in requests(log)[:-1] for gap in r.itl_s))


def stall_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "usual": ms(usual_s(evidence, "with the giant")),
        "without": ms(middle(evidence.of("without it", stall_s))),
        "tokens": f"{LONG}",
    }


def giant_words(evidence: Evidence) -> Mapping[str, str]:
    per_token = middle(evidence.of("giant", prefill_s_per_token))
    return {"tokens": f"{evidence.setting:g}", "alone": ms(per_token * evidence.setting)}


def separated_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "one": ms(middle(evidence.of("one station", stall_s))),
        "two": ms(middle(evidence.of("two stations", stall_s))),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Why did everybody's answer stop when one long prompt came in?",
    minutes=6,
    rounds=(
        Round(
            "freeze",
            "How long is the longest pause that a short answer suffers?",
            Number("ms", 5.0, 20_000.0),
            key=lambda evidence: number([s * 1e3 for s in evidence.of("with the giant", stall_s)]),
            reasons=("Steps alternate, so hardly any", "As long as the long prompt's prefill", "Longer than that"),
            runs=one_station,
            numbers=stall_words,
            view=lambda evidence: Bars(
                "ms", {run: tuple(s * 1e3 for s in evidence.of(run, stall_s)) for run in evidence.logs}, log=True
            ),
        ),
        Round(
            "longer",
            "Change the length of the giant order. How long is the longest pause now?",
            Number("ms", 5.0, 50_000.0),
            key=lambda evidence: number([s * 1e3 for s in evidence.of("giant", stall_s)]),
            runs=giant,
            knob=Knob("giant order", (128.0, 256.0, 1024.0), "{:g} tokens".format),
            numbers=giant_words,
        ),
        Round(
            "check",
            "Same orders, same two workers. Who makes a short answer wait longest?",
            Choice(
                {
                    "one station": "two all-round cooks: each preps and plates",
                    "two stations": "a prep station and a plating line",
                    "same": "about the same",
                }
            ),
            key=lambda evidence: greatest({run: evidence.of(run, stall_s) for run in ("one station", "two stations")}),
            runs=separated,
            numbers=separated_words,
            view=lambda evidence: Bars(
                "ms",
                {run: tuple(s * 1e3 for s in evidence.of(run, stall_s)) for run in ("one station", "two stations")},
            ),
        ),
    ),
    claims=(
        Claim(
            "A long prefill freezes the decodes of its worker for many times their usual gap",
            "freeze",
            lambda evidence: middle(evidence.of("with the giant", stall_s)) > 4 * usual_s(evidence, "with the giant"),
        ),
        Claim(
            "Without the long prompt there is no such pause",
            "freeze",
            lambda evidence: (
                middle(evidence.of("without it", stall_s)) < 0.6 * middle(evidence.of("with the giant", stall_s))
            ),
        ),
        Claim(
            "With prefill on another worker, the same prompt freezes nobody as long",
            "check",
            lambda evidence: (
                middle(evidence.of("two stations", stall_s)) < 0.6 * middle(evidence.of("one station", stall_s))
            ),
        ),
    ),
)
