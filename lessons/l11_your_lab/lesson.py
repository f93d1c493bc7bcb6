"""Four GPUs, vLLM, RAG prompts, and an NVLink pair that is down: a verdict, and what to fix first."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.log import Log
from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import choice, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import LONG, crowd, deployed, long_one, middle, ms, stall_s

BROKEN, SOUND = 3.0, 200.0  # MB/s


def candidates(setting: float) -> Mapping[str, Scenario]:
    return {
        "chunked": deployed("chunked", crowd()),
        "disaggregated": deployed("disaggregated", crowd(), mb_per_s=BROKEN),
    }


def repairs(setting: float) -> Mapping[str, Scenario]:
    return {
        "as it is": deployed("disaggregated", crowd(), mb_per_s=BROKEN),
        "link": deployed("disaggregated", crowd(), mb_per_s=SOUND),
        "layers": layerwise(deployed("disaggregated", crowd(), mb_per_s=BROKEN)),
    }


def layerwise(scenario: Scenario) -> Scenario:
    deployment = msgspec.structs.replace(scenario.deployment, ship="layers")
    return msgspec.structs.replace(scenario, deployment=deployment)


def repaired(setting: float) -> Mapping[str, Scenario]:
    return {"repaired": deployed("disaggregated", crowd(int(setting)), mb_per_s=SOUND)}


def flowing_s(log: Log) -> float:
    """When the long prompt's answer begins to flow: its second token is out."""
    long = long_one(log)
    return (long.ttft_s or 0.0) + long.itl_s[0]


def flow(evidence: Evidence, run: str) -> float:
    return middle(evidence.of(run, flowing_s))


def flow_bars(evidence: Evidence, *runs: str) -> Bars:
    return Bars("ms", {run: tuple(s * 1e3 for s in evidence.of(run, flowing_s)) for run in runs})


def verdict_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "tokens": f"{LONG}",
        "chunked": ms(flow(evidence, "chunked")),
        "split": ms(flow(evidence, "disaggregated")),
        "chunked_pause": ms(middle(evidence.of("chunked", stall_s))),
    }


def repair_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "before": ms(flow(evidence, "as it is")),
        "link": ms(flow(evidence, "link")),
        "layers": ms(flow(evidence, "layers")),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Four GPUs, long prompts, one broken link. What do you do on Monday?",
    minutes=8,
    rounds=(
        Round(
            "verdict",
            "As the cluster stands: in which kitchen does the long prompt's answer begin to flow sooner?",
            Choice({"chunked": "co-located, chunked prefill", "disaggregated": "prefill and decode on different GPUs"}),
            key=lambda evidence: choice(min(("chunked", "disaggregated"), key=lambda run: flow(evidence, run))),
            runs=candidates,
            repeats=2,
            numbers=verdict_words,
            view=lambda evidence: flow_bars(evidence, "chunked", "disaggregated"),
        ),
        Round(
            "fix",
            "Suppose you split anyway. Which helps the long prompt's answer more?",
            Choice({"link": "repair the link", "layers": "ship layer by layer, on the link as it is"}),
            key=lambda evidence: choice(min(("link", "layers"), key=lambda run: flow(evidence, run))),
            runs=repairs,
            repeats=2,
            numbers=repair_words,
            view=lambda evidence: flow_bars(evidence, "as it is", "link", "layers"),
        ),
        Round(
            "check",
            "The link is repaired. Choose a prompt length: when does the long prompt's answer begin to flow?",
            Number("ms", 10.0, 50_000.0),
            key=lambda evidence: number([s * 1e3 for s in evidence.of("repaired", flowing_s)]),
            runs=repaired,
            repeats=2,
            knob=Knob("RAG prompt", (128.0, 512.0, 1024.0), "{:g} tokens".format),
            numbers=lambda evidence: {
                "tokens": f"{evidence.setting:g}",
                "pause": ms(middle(evidence.of("repaired", stall_s))),
            },
        ),
    ),
    claims=(
        Claim(
            "With the link down, co-located with chunked prefill serves the long prompt sooner",
            "verdict",
            lambda evidence: 1.5 * flow(evidence, "chunked") < flow(evidence, "disaggregated"),
        ),
        Claim(
            "Repairing the link helps more than shipping layer by layer over it",
            "fix",
            lambda evidence: 1.2 * flow(evidence, "link") < flow(evidence, "layers"),
        ),
    ),
)
