"""Where two all-round cooks with small portions beat two specialists."""

from collections.abc import Mapping
from pathlib import Path

from engine.scenario import Scenario, Workload
from lessons.evidence import Evidence
from lessons.keys import greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import crowd, deployed, ms, ms_bars, named, output_tokens_per_s, stall_s

BOTH = ("chunked", "disaggregated")


def few_outputs(setting: float) -> Mapping[str, Scenario]:
    load = Workload(requests=6, prompt_tokens=192, output_tokens=int(setting) or 3, ignore_eos=True)
    return {"chunked": deployed("chunked", load), "disaggregated": deployed("disaggregated", load)}


def one_giant(setting: float) -> Mapping[str, Scenario]:
    return {"chunked": deployed("chunked", crowd(), chunk=256), "disaggregated": deployed("disaggregated", crowd())}


def gain(one: Evidence) -> float:
    """Tokens a second of chunked over those of disaggregated."""
    return output_tokens_per_s(one.log("chunked")) / output_tokens_per_s(one.log("disaggregated"))


def rate_words(one: Evidence) -> Mapping[str, str]:
    return {
        "chunked": f"{output_tokens_per_s(one.log('chunked')):.3g}",
        "split": f"{output_tokens_per_s(one.log('disaggregated')):.3g}",
        "output": f"{one.log('chunked').scenario.workload.output_tokens}",
    }


def pause_words(one: Evidence) -> Mapping[str, str]:
    return {"chunked": ms(stall_s(one.log("chunked"))), "split": ms(stall_s(one.log("disaggregated")))}


def options(portions: str) -> Choice:
    return Choice(
        {
            "chunked": f"two all-round cooks, {portions} portions",
            "disaggregated": "a prep station and a plating line",
            "same": "about the same",
        }
    )


LESSON = Lesson(
    Path(__file__).parent,
    title="If two stations are so good, why do most kitchens have one?",
    minutes=7,
    rounds=(
        Round(
            "few",
            "Many prompts, answers of a few tokens, a road as wide as can be. Who makes more tokens a second?",
            options("small"),
            key=lambda evidence: greatest(evidence.each(named(output_tokens_per_s, *BOTH))),
            runs=few_outputs,
            numbers=rate_words,
            view=lambda evidence: Bars("tokens/s", {run: evidence.of(run, output_tokens_per_s) for run in BOTH}),
        ),
        Round(
            "longer",
            "Choose the answers' length. By what factor do the all-round cooks make more tokens a second?",
            Number("times", 0.1, 10.0),
            key=lambda evidence: number(evidence.each(gain)),
            runs=few_outputs,
            repeats=2,
            knob=Knob("answers", (6.0, 24.0, 48.0), "{:g} tokens".format),
            numbers=rate_words,
        ),
        Round(
            "check",
            "A giant order comes among short ones, and portions are large. Who makes a short answer wait longest?",
            options("large"),
            key=lambda evidence: greatest(evidence.each(named(stall_s, *BOTH))),
            runs=one_giant,
            numbers=pause_words,
            view=lambda evidence: ms_bars(evidence, stall_s, *BOTH),
        ),
    ),
    claims=(
        Claim(
            "With short answers, two co-located workers with chunked prefill make more tokens a second.",
            "few",
            lambda one: gain(one) > 1.15,
            otherwise="On your runs the two make about as many tokens a second.",
            name="more",
        ),
        Claim(
            "With a giant order and large chunks, disaggregation has the shorter worst pause.",
            "check",
            lambda one: stall_s(one.log("disaggregated")) < 0.6 * stall_s(one.log("chunked")),
            otherwise="On your runs splitting does not shorten the longest pause by much.",
            name="tails",
        ),
    ),
)
