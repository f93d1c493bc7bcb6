"""Many trays on one road, and what a rack-wide NVLink domain changes."""

from collections.abc import Mapping
from pathlib import Path

from engine.events import HandoffEnded, HandoffStarted
from engine.fleet.catalog.hardware import fabric
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.roofline import handoff_s as real_handoff_s
from engine.log import Log
from engine.scenario import Scenario, Workload
from lessons.evidence import Evidence
from lessons.keys import number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Number
from lessons.runs import deployed, middle, ms

ROAD = 10.0  # MB/s
PROMPT = 120
REAL, REAL_TOKENS, REAL_TP = "llama-3.3-70b", 4096, 4


def trays(count: int) -> Scenario:
    workload = Workload(requests=count, prompt_tokens=PROMPT, output_tokens=3, ignore_eos=True)
    return deployed("disaggregated", workload, mb_per_s=ROAD)


def one_and_four(setting: float) -> Mapping[str, Scenario]:
    return {"1": trays(1), "4": trays(4)}


def many(setting: float) -> Mapping[str, Scenario]:
    return {"many": trays(int(setting))}


def crossing_s(log: Log) -> float:
    """From the first tray's start to the last one's landing."""
    start = min(event.t for event in log.events if isinstance(event, HandoffStarted))
    return max(event.t for event in log.events if isinstance(event, HandoffEnded)) - start


def slower(evidence: Evidence) -> tuple[float, ...]:
    alone, crowded = evidence.of("1", crossing_s), evidence.of("4", crossing_s)
    return tuple(many / one for many, one in zip(crowded, alone, strict=True))


def rack_ratio() -> float:
    """Between racks over within the NVLink domain, for one real tray. Computed."""
    return _real_s("ib-800g") / _real_s("nvl72")


def _real_s(name: str) -> float:
    return real_handoff_s(model(REAL), fabric(name), REAL_TOKENS, tp=REAL_TP)


def crossing_words(evidence: Evidence) -> Mapping[str, str]:
    return {"one": ms(middle(evidence.of("1", crossing_s))), "four": ms(middle(evidence.of("4", crossing_s)))}


def many_words(evidence: Evidence) -> Mapping[str, str]:
    return {"trays": f"{evidence.setting:g}", "road": f"{ROAD:g} MB/s"}


def rack_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "inside": ms(_real_s("nvl72")),
        "between": ms(_real_s("ib-800g")),
        "model": model(REAL).label,
        "tokens": f"{REAL_TOKENS:,}",
        "gpus": f"{REAL_TP}",
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Why would anyone join 72 GPUs as if they were one?",
    minutes=6,
    rounds=(
        Round(
            "crowd",
            "Four trays leave at once on one road. How many times as long until the last has landed, against one?",
            Number("times", 0.2, 50.0),
            key=lambda evidence: number(slower(evidence)),
            reasons=("They travel side by side", "They share the road", "They get into each other's way"),
            runs=one_and_four,
            numbers=crossing_words,
            view=lambda evidence: Bars("ms", {n: tuple(s * 1e3 for s in evidence.of(n, crossing_s)) for n in "14"}),
        ),
        Round(
            "more",
            "Change how many trays leave together. When has the last one landed?",
            Number("ms", 10.0, 50_000.0),
            key=lambda evidence: number([s * 1e3 for s in evidence.of("many", crossing_s)]),
            runs=many,
            repeats=2,
            knob=Knob("trays", (2.0, 3.0, 8.0), "{:g}".format),
            numbers=many_words,
        ),
        Round(
            "check",
            "Computed, not run: how many times quicker is a large model's tray inside a rack of 72 than between racks?",
            Number("times", 0.5, 200.0),
            key=lambda evidence: number([rack_ratio()]),
            numbers=rack_words,
        ),
    ),
    claims=(
        Claim(
            "Trays that leave together share the road: four take about four times as long",
            "crowd",
            lambda evidence: 2.5 < middle(slower(evidence)) < 5.5,
        ),
        Claim("Inside an NVLink domain a tray is several times quicker", "check", lambda evidence: rack_ratio() > 3),
    ),
)
