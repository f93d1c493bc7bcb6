"""Where two all-round cooks with small portions beat two specialists."""

from collections.abc import Mapping
from pathlib import Path

from engine.log import Log
from engine.metrics import summarize
from engine.scenario import Scenario, Workload
from lessons.evidence import Evidence
from lessons.keys import greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import crowd, deployed, middle, ms, output_tokens_per_s

BOTH = ("chunked", "disaggregated")


def few_outputs(setting: float) -> Mapping[str, Scenario]:
    load = Workload(requests=6, prompt_tokens=192, output_tokens=int(setting) or 3, ignore_eos=True)
    return {"chunked": deployed("chunked", load), "disaggregated": deployed("disaggregated", load)}


def one_giant(setting: float) -> Mapping[str, Scenario]:
    return {"chunked": deployed("chunked", crowd(), chunk=256), "disaggregated": deployed("disaggregated", crowd())}


def gain(evidence: Evidence) -> tuple[float, ...]:
    """Tokens a second of chunked over those of disaggregated, in each repeat."""
    rates = (evidence.of(run, output_tokens_per_s) for run in BOTH)
    return tuple(chunked / split for chunked, split in zip(*rates, strict=True))


def worst_s(log: Log) -> float:
    return summarize(log.events).metrics.max_stall_s


def rate_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "chunked": f"{middle(evidence.of('chunked', output_tokens_per_s)):.3g}",
        "split": f"{middle(evidence.of('disaggregated', output_tokens_per_s)):.3g}",
        "output": f"{evidence.logs['chunked'][0].scenario.workload.output_tokens}",
    }


def pause_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "chunked": ms(middle(evidence.of("chunked", worst_s))),
        "split": ms(middle(evidence.of("disaggregated", worst_s))),
    }


OPTIONS = {
    "chunked": "two all-round cooks, small portions",
    "disaggregated": "a prep station and a plating line",
    "same": "about the same",
}

LESSON = Lesson(
    Path(__file__).parent,
    title="If two stations are so good, why do most kitchens have one?",
    minutes=7,
    rounds=(
        Round(
            "few",
            "Many prompts, answers of a few tokens, a road as wide as can be. Who makes more tokens a second?",
            Choice(OPTIONS),
            key=lambda evidence: greatest({run: evidence.of(run, output_tokens_per_s) for run in BOTH}),
            runs=few_outputs,
            numbers=rate_words,
            view=lambda evidence: Bars("tokens/s", {run: evidence.of(run, output_tokens_per_s) for run in BOTH}),
        ),
        Round(
            "longer",
            "Change the answers' length. How many times the specialists' tokens a second do the all-round cooks make?",
            Number("times", 0.1, 10.0),
            key=lambda evidence: number(gain(evidence)),
            runs=few_outputs,
            repeats=2,
            knob=Knob("answers", (6.0, 24.0, 48.0), "{:g} tokens".format),
            numbers=rate_words,
        ),
        Round(
            "check",
            "One giant order among short ones, large portions. Who has the longest pause in an answer?",
            Choice(OPTIONS),
            key=lambda evidence: greatest({run: evidence.of(run, worst_s) for run in BOTH}),
            runs=one_giant,
            numbers=pause_words,
            view=lambda evidence: Bars("ms", {run: tuple(s * 1e3 for s in evidence.of(run, worst_s)) for run in BOTH}),
        ),
    ),
    claims=(
        Claim(
            "With short answers, two co-located workers with chunked prefill make more tokens a second",
            "few",
            lambda evidence: middle(gain(evidence)) > 1.15,
        ),
        Claim(
            "With a giant order and large chunks, disaggregation has the shorter worst pause",
            "check",
            lambda evidence: middle(evidence.of("disaggregated", worst_s)) < middle(evidence.of("chunked", worst_s)),
        ),
    ),
)
