"""What a rack-wide NVLink domain changes, and what a planner and a router do there. Simulated: nobody runs one here."""

from collections.abc import Mapping
from pathlib import Path

from engine.fleet.catalog.hf_config import model
from engine.units import percent
from lessons.evidence import Evidence
from lessons.keys import number
from lessons.l09_at_scale import rack
from lessons.lesson import Claim, Lesson, Round
from lessons.question import Number
from lessons.runs import ms


def rack_ratio() -> float:
    """Between racks over within the NVLink domain, for one real tray."""
    return rack.tray_s(rack.BETWEEN) / rack.tray_s(rack.INSIDE)


def pool_words(one: Evidence) -> Mapping[str, str]:
    wide = rack.rack()
    return {
        "nodes": percent(rack.nodes().share),
        "rack": percent(wide.share),
        "prefill": f"{wide.prefill}",
        "decode": f"{wide.workers - wide.prefill}",
        "fixed": percent(rack.planned(False).share),
        "planned": percent(rack.planned(True).share),
        "wrong_prefill": f"{rack.planned(False).prefill}",
        "wrong_decode": f"{rack.planned(False).workers - rack.planned(False).prefill}",
        "third": f"{rack.planned(False).workers}",
        "tokens": f"{rack.PROMPT:,}",
        "answer": f"{rack.ANSWER}",
        "model": model(rack.MODEL).label,
        "gpus": f"{rack.TP}",
        "prefill_time": ms(rack.reading_s(rack.PROMPT)),
        "inside": ms(rack.tray_s(rack.INSIDE)),
        "between": ms(rack.tray_s(rack.BETWEEN)),
        "times_as_long": f"{rack_ratio():.0f}",
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
    minutes=5,
    rounds=(
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
            "Inside an NVLink domain a tray is many times quicker than between racks.",
            "pools",
            lambda one: rack_ratio() > 10,
            otherwise="By these bandwidths the domain is not many times quicker.",
            name="inside",
        ),
        Claim(
            "Even between racks a tray takes less than a fifth of its prefill's time.",
            "pools",
            lambda one: rack.tray_s(rack.BETWEEN) < 0.2 * rack.reading_s(rack.PROMPT),
            otherwise="Between racks a tray takes more than a fifth of its prefill's time.",
            name="little",
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
