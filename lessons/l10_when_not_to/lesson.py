"""Where two portioning cooks beat two specialists."""

from collections.abc import Mapping
from pathlib import Path

from engine.scenario import Kind, Scenario, Workload
from engine.units import amount
from lessons.evidence import Evidence
from lessons.keys import greatest
from lessons.lesson import Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Choice
from lessons.runs import bars, deployed, named, output_tokens_per_s

PROMPT, OUTPUT = 256, 2  # tokens; a step of the chunked kitchen holds one prompt
BOTH: tuple[Kind, Kind] = ("chunked", "disaggregated")


def few_outputs(setting: float) -> Mapping[str, Scenario]:
    load = Workload(requests=8, prompt_tokens=PROMPT, output_tokens=int(setting) or OUTPUT, ignore_eos=True)
    return {kind: deployed(kind, load, chunk=PROMPT) for kind in BOTH}


def gain(one: Evidence) -> float:
    """Tokens a second of chunked over those of disaggregated."""
    return output_tokens_per_s(one.log("chunked")) / output_tokens_per_s(one.log("disaggregated"))


def rate_words(one: Evidence) -> Mapping[str, str]:
    return {
        "chunked": amount(output_tokens_per_s(one.log("chunked"))),
        "split": amount(output_tokens_per_s(one.log("disaggregated"))),
        "output": f"{one.log('chunked').scenario.workload.output_tokens}",
    }


def rate_numbers(one: Evidence) -> Mapping[str, float]:
    return {
        "portioning cooks, tokens/s": output_tokens_per_s(one.log("chunked")),
        "specialists, tokens/s": output_tokens_per_s(one.log("disaggregated")),
        "the first over the second": gain(one),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="If two stations are so good, why do most kitchens have one?",
    minutes=4,
    rounds=(
        Round(
            "few",
            "Many prompts, answers of a few tokens, a road as wide as can be. Who makes more tokens a second?",
            Choice(
                {
                    "chunked": "two portioning cooks",
                    "disaggregated": "a prep station and a plating line",
                    "same": "about the same",
                }
            ),
            key=lambda evidence: greatest(evidence.each(named(output_tokens_per_s, *BOTH))),
            runs=few_outputs,
            most_repeats=9,
            numbers=rate_words,
            view=bars("tokens/s", output_tokens_per_s, *BOTH),
            free=FreeKnob(
                Knob("answers", (2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 96.0), "{:g} tokens".format),
                at=OUTPUT,
                says="Give the plating line more to do: the more evenly the work falls, the smaller the difference.",
                runs=few_outputs,
                numbers=rate_numbers,
            ),
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
    ),
)
