"""Many trays on one road, and what a rack-wide NVLink domain changes."""

from collections.abc import Mapping
from pathlib import Path

from engine.events import HandoffEnded, HandoffStarted
from engine.fleet.catalog.hf_config import model
from engine.log import Log
from engine.scenario import Scenario, Workload
from lessons.evidence import CannotTell, Evidence
from lessons.keys import number
from lessons.l09_at_scale import rack
from lessons.lesson import Claim, Lesson, Round
from lessons.question import Number
from lessons.runs import deployed, ms, ms_bars, percent

ROAD = 3.0  # MB/s: so narrow that the trays wait for the road, not for their prefill
PROMPT = 120
ONE, FOUR = "one tray", "four trays"


def trays(count: int) -> Scenario:
    workload = Workload(requests=count, prompt_tokens=PROMPT, output_tokens=3, ignore_eos=True)
    return deployed("disaggregated", workload, mb_per_s=ROAD)


def one_and_four(setting: float) -> Mapping[str, Scenario]:
    return {ONE: trays(1), FOUR: trays(4)}


def crossing_s(log: Log) -> float:
    """From the first tray's start to the last one's landing."""
    left = [event.t for event in log.events if isinstance(event, HandoffStarted)]
    landed = [event.t for event in log.events if isinstance(event, HandoffEnded)]
    if not left or len(landed) < log.scenario.workload.requests:
        raise CannotTell("Not all trays have landed.")
    return max(landed) - min(left)


def slower(one: Evidence) -> float:
    alone_s = crossing_s(one.log(ONE))
    if alone_s <= 0:
        raise CannotTell("The lone tray took no time.")
    return crossing_s(one.log(FOUR)) / alone_s


def crossing_words(one: Evidence) -> Mapping[str, str]:
    return {"one": ms(crossing_s(one.log(ONE))), "four": ms(crossing_s(one.log(FOUR))), "road": f"{ROAD:g} MB/s"}


# ---- computed


def rack_ratio() -> float:
    """Between racks over within the NVLink domain, for one real tray."""
    return rack.tray_s(rack.BETWEEN) / rack.tray_s(rack.INSIDE)


def rack_words(one: Evidence) -> Mapping[str, str]:
    return {
        "inside": ms(rack.tray_s(rack.INSIDE)),
        "between": ms(rack.tray_s(rack.BETWEEN)),
        "model": model(rack.MODEL).label,
        "tokens": f"{rack.PROMPT:,}",
        "gpus": f"{rack.TP}",
    }


def pool_words(one: Evidence) -> Mapping[str, str]:
    wide = rack.rack()
    return {
        "nodes": percent(rack.nodes().share),
        "rack": percent(wide.share),
        "prefill": f"{wide.prefill}",
        "decode": f"{wide.workers - wide.prefill}",
        "fixed": percent(rack.planned(False).share),
        "planned": percent(rack.planned(True).share),
        "wrong": f"{rack.planned(False).prefill} and {rack.WORKERS - rack.planned(False).prefill}",
        "tokens": f"{rack.PROMPT:,}",
        "answer": f"{rack.ANSWER}",
        "rate": f"{rack.busy_per_s():.0f}",
    }


def routing_ratio() -> float:
    return rack.first_token_s("round-robin") / rack.first_token_s("kv-aware")


def routing_words(one: Evidence) -> Mapping[str, str]:
    return {
        "blind": ms(rack.first_token_s("round-robin")),
        "aware": ms(rack.first_token_s("kv-aware")),
        "documents": f"{rack.DOCUMENTS}",
        "length": f"{rack.DOCUMENT:,}",
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Why would anyone join 72 GPUs as if they were one?",
    minutes=6,
    rounds=(
        Round(
            "crowd",
            "Four trays leave at once on one road. By what factor is the last one later than a lone tray?",
            Number("times", 0.2, 50.0),
            key=lambda evidence: number(evidence.each(slower)),
            reasons=("They travel side by side", "They share the road", "They get into each other's way"),
            runs=one_and_four,
            repeats=2,
            numbers=crossing_words,
            view=lambda evidence: ms_bars(evidence, crossing_s, ONE, FOUR),
        ),
        Round(
            "rack",
            "Computed, not run: by what factor is a large model's tray quicker inside a rack of 72 than between racks?",
            Number("times", 0.5, 200.0),
            key=lambda evidence: number([rack_ratio()]),
            numbers=rack_words,
            computed=True,
        ),
        Round(
            "pools",
            "Simulated: nine machines of eight GPUs, each split 1:1. What share of the requests keeps both promises?",
            Number("%", 0.0, 100.0, log=False),
            key=lambda evidence: number([100 * rack.nodes().share]),
            reasons=("All: it is the same 72 GPUs", "Half: one of the two pools is too small", "Nearly none"),
            numbers=pool_words,
            computed=True,
        ),
        Round(
            "check",
            "Simulated: by what factor is the wait for token 1 longer if the router ignores where the KV lies?",
            Number("times", 0.5, 50.0),
            key=lambda evidence: number([routing_ratio()]),
            numbers=routing_words,
            computed=True,
        ),
    ),
    claims=(
        Claim(
            "Trays that leave together share the road: four take about four times as long.",
            "crowd",
            lambda one: 3 < slower(one) < 5,
            otherwise="On your runs four trays do not take about four times as long as one.",
            name="share",
        ),
        Claim(
            "Inside an NVLink domain a tray is many times quicker than between racks.",
            "rack",
            lambda one: rack_ratio() > 10,
            otherwise="By these bandwidths the domain is not many times quicker.",
            name="inside",
        ),
        Claim(
            "One domain of 72 GPUs, split as the work asks for, keeps promises that nine small ones break.",
            "pools",
            lambda one: rack.rack().share > 0.9 > 2 * rack.nodes().share,
            otherwise="In this simulation one large domain does not do better.",
            name="wide",
        ),
        Claim(
            "A planner that moves workers between the pools keeps more of the promises.",
            "pools",
            lambda one: rack.planned(True).share > rack.planned(False).share + 0.1,
            otherwise="In this simulation the planner keeps no more of the promises.",
            name="planner",
        ),
        Claim(
            "Routing to where the KV lies shortens the wait for the first token.",
            "check",
            lambda one: routing_ratio() > 1.5,
            otherwise="In this simulation KV routing does not shorten the wait by much.",
            name="routing",
        ),
    ),
)
