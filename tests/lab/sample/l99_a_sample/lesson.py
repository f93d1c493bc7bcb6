"""A made-up lesson with every kind of question, small enough for the tiny model. Copied into a lab by the tests."""

from collections.abc import Mapping
from math import inf
from pathlib import Path

from engine.link import LinkSpec
from engine.log import Log
from engine.metrics import summarize
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from lessons.evidence import Evidence
from lessons.keys import choice, curve, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Choice, Curve, Lines, Number
from lessons.runs import bars

MODEL = ModelSpec("tiny-llama")
PROMPTS = (64.0, 128.0, 256.0, 512.0)
KINDS = ("colocated", "disaggregated")


def kitchen(prompt: float, kind: str = "colocated", requests: int = 2) -> Scenario:
    workload = Workload(requests, None, int(prompt), 8, ignore_eos=True)
    return Scenario(Deployment(kind), LinkSpec(20e6), workload, MODEL)  # type: ignore[arg-type]


def ttft_ms(log: Log) -> float:
    return summarize(log.events).metrics.ttft_s.p50 * 1e3


def prompts(setting: float) -> Mapping[str, Scenario]:
    return {f"{prompt:g}": kitchen(prompt) for prompt in PROMPTS}


def ttft_by_prompt(one: Evidence) -> list[float]:
    return [ttft_ms(one.log(f"{prompt:g}")) for prompt in PROMPTS]


def by_prompt(evidence: Evidence, told: int | None) -> Lines:
    points = tuple(zip(PROMPTS, ttft_by_prompt(evidence.repeats[told or 0]), strict=True))
    return Lines("prompt, tokens", "TTFT, ms", {"one cook": points}, {"a limit": ((64, 50), (512, 50))})


LESSON = Lesson(
    folder=Path(__file__).parent,
    title="How long until the first token?",
    minutes=3,
    rounds=(
        Round(
            "first",
            "How long does the first token take?",
            Number("ms", 1, 10_000),
            key=lambda evidence: number(evidence.of("one", ttft_ms), widest=inf),
            reasons=("Prefill reads every token first", "The model is tiny"),
            runs=lambda setting: {"one": kitchen(setting)},
            knob=Knob("Prompt", (64, 256), "{:g} tokens".format),
            numbers=lambda evidence: {"repeats": f"{len(evidence.logs['one'])}"},
            view=bars("ms", ttft_ms, "One cook"),
            needs_machine=True,
        ),
        Round(
            "grows",
            "How does it grow with the prompt?",
            Curve(PROMPTS, "prompt, tokens", "TTFT", "ms", 1, 10_000),
            key=lambda evidence: curve(evidence.each(ttft_by_prompt), widest=inf),
            runs=prompts,
            repeats=1,
            view=by_prompt,
        ),
        Round(
            "check",
            "What sets it?",
            Choice({"prompt": "The length of the prompt", "answer": "The length of the answer", "same": "Neither"}),
            key=lambda evidence: choice("prompt"),
        ),
    ),
    claims=(Claim("A longer prompt takes longer.", "grows", lambda e: ttft_ms(e.log("512")) > ttft_ms(e.log("64"))),),
)
