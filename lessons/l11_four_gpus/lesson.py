"""Four GPUs, vLLM, RAG prompts, and an NVLink pair that is down: a verdict, and what to fix first."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.advisor import advise
from engine.fleet.advisor.question import Question
from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import MARGIN, choice, greatest
from lessons.lesson import Claim, Lesson, Round
from lessons.question import Choice
from lessons.runs import (
    BROKEN,
    FALLBACK,
    LONG,
    SOUND,
    crowd,
    deployed,
    flowing_s,
    ms,
    ms_bars,
    named,
    stall_s,
)

CHUNKED, NVLINK, PCIE, TCP = "chunked", "split, NVLink", "split, PCIe", "split, TCP"
ASKED = Question(gpus=4, gpu="h100-sxm", model="llama-3.1-8b", isl_tokens=4096, osl_tokens=256, links_down=1)


def split(mb_per_s: float) -> Scenario:
    return deployed("disaggregated", crowd(), mb_per_s=mb_per_s)


def all_four(setting: float) -> Mapping[str, Scenario]:
    return {
        CHUNKED: deployed("chunked", crowd()),
        TCP: split(BROKEN),
        PCIE: split(FALLBACK),
        NVLINK: split(SOUND),
    }


def verdict_words(one: Evidence) -> Mapping[str, str]:
    return {
        "tokens": f"{LONG}",
        "chunked": ms(flowing_s(one.log(CHUNKED))),
        "split": ms(flowing_s(one.log(TCP))),
        "chunked_stall": ms(stall_s(one.log(CHUNKED))),
        "nvlink_stall": ms(stall_s(one.log(NVLINK))),
        "chunk": f"{one.log(CHUNKED).scenario.deployment.chunk}",
        "table": table(one),
    }


@cache
def advice() -> Advice:
    """Of the advisor, for the cluster of this lesson: some seconds of simulation."""
    return advise(ASKED)


def table(one: Evidence) -> str:
    """Both metrics of all four kitchens."""
    rows = [
        f"| {run} | {ms(flowing_s(one.log(run)))} | {ms(stall_s(one.log(run)))} |"
        for run in (CHUNKED, NVLINK, PCIE, TCP)
    ]
    head = ["| | the long prompt's second token | the others' longest pause |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def firm(given: Advice) -> str:
    """Which other arrivals and efficiencies change the verdict, or leave it."""
    if turned := [variation.what for variation in given.uncertainty if variation.verdict != given.verdict]:
        return f"The verdict changes with {', '.join(turned)}."
    return f"The verdict stays with {', '.join(variation.what for variation in given.uncertainty)}."


def advice_words(one: Evidence) -> Mapping[str, str]:
    given = advice()
    return {
        "sentence": given.sentence,
        "firm": firm(given),
        "fleet": f"{ASKED.gpus} × {ASKED.card.label} with {ASKED.shape.label}",
        "load": f"{ASKED.rate_per_s:g} requests a second of {ASKED.isl_tokens:,} tokens in and {ASKED.osl_tokens} out",
        "promise": f"nine of ten first tokens in {ASKED.ttft_slo_s:g} s, 99 of 100 gaps in {ms(ASKED.itl_slo_s)}",
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Four GPUs, long prompts, one broken link. What do you do on Monday?",
    minutes=6,
    rounds=(
        Round(
            "verdict",
            "As the cluster stands, trays take TCP: in which kitchen does the long prompt's answer flow later?",
            Choice(
                {
                    CHUNKED: "co-located, chunked prefill",
                    TCP: "prefill and decode on different GPUs",
                    "same": "about the same",
                }
            ),
            key=lambda evidence: greatest(evidence.each(named(flowing_s, CHUNKED, TCP))),
            runs=all_four,
            repeats=2,
            numbers=verdict_words,
            view=ms_bars(flowing_s, CHUNKED, NVLINK, PCIE, TCP),
        ),
        Round(
            "check",
            "Four H100, an 8B model, long prompts, one NVLink down: what does the advisor say?",
            Choice(
                {
                    "disaggregate": "split, whatever the link does",
                    "conditional": "split the longest prompts only",
                    "fix-first": "keep both phases together now, and repair the link first",
                    "colocate": "keep both phases together, and never mind the link",
                }
            ),
            key=lambda evidence: choice(advice().verdict.removesuffix("-chunked")),
            numbers=advice_words,
            computed=True,
        ),
    ),
    claims=(
        Claim(
            "Over TCP, co-located with chunked prefill serves the long prompt sooner.",
            "verdict",
            lambda one: 1.5 * flowing_s(one.log(CHUNKED)) < flowing_s(one.log(TCP)),
            otherwise="On your runs chunked prefill is not clearly sooner.",
            name="sooner",
        ),
        Claim(
            "With the link repaired, splitting shortens the longest pause of the short answers.",
            "verdict",
            lambda one: MARGIN * stall_s(one.log(NVLINK)) < stall_s(one.log(CHUNKED)),
            otherwise="On your runs splitting does not shorten the longest pause by much, even with the link repaired.",
            name="shorter",
        ),
        Claim(
            "Splitting makes the road matter: over TCP the long prompt waits far longer than over NVLink.",
            "verdict",
            lambda one: flowing_s(one.log(TCP)) > 1.5 * flowing_s(one.log(NVLINK)),
            otherwise="On your runs the road makes little difference to the long prompt.",
            name="road",
        ),
        Claim(
            "The advisor keeps both phases together, and wants the link repaired first.",
            "check",
            lambda one: advice().verdict == "fix-first",
            otherwise="For this cluster the advisor says something else.",
            name="link",
        ),
    ),
)
