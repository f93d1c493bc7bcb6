"""What is in a tray: KV bytes from the model's shape, then weighed on the real handoff."""

from collections.abc import Mapping
from pathlib import Path

from engine.log import Log
from engine.scenario import BLOCK_TOKENS, Scenario
from lessons.evidence import Evidence
from lessons.keys import exact, greatest, untimed
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import alone, deployed, handoff_bytes, mb, named, of

PROMPT = 512
LAYERS, KV_HEADS, HEAD_SIZE = 30, 3, 64  # of the kitchen's model, as the question says
ANSWERS = ("short answer", "long answer")


def tray(setting: float) -> Mapping[str, Scenario]:
    return {"tray": deployed("disaggregated", alone(int(setting) or PROMPT))}


def two_answers(setting: float) -> Mapping[str, Scenario]:
    return {
        "short answer": deployed("disaggregated", alone(128, 4)),
        "long answer": deployed("disaggregated", alone(128, 32)),
    }


def tray_mb(log: Log) -> float:
    return handoff_bytes(log) / 1e6


def blocks(log: Log) -> int:
    """Whole blocks are shipped, so the last one may be partly empty."""
    return -(-log.scenario.workload.prompt_tokens // BLOCK_TOKENS)


def computed_bytes(one: Evidence) -> int:
    """From the model's shape alone."""
    return blocks(one.log("tray")) * BLOCK_TOKENS * one.known_machine.kv_bytes_per_token


def tray_words(one: Evidence) -> Mapping[str, str]:
    machine, log = one.known_machine, one.log("tray")
    numbers = 2 * LAYERS * KV_HEADS * HEAD_SIZE
    return {
        "tokens": f"{log.scenario.workload.prompt_tokens:,}",
        "filled_in": f"2 × {LAYERS} × {KV_HEADS} × {HEAD_SIZE} × {machine.kv_bytes_per_token / numbers:g}",
        "per_token": f"{machine.kv_bytes_per_token:,} bytes",
        "blocks": f"{blocks(log)}",
        "block": f"{BLOCK_TOKENS}",
        "computed": f"{computed_bytes(one):,} bytes",
        "weighed": f"{handoff_bytes(log):,.0f} bytes",
        "weights": f"{machine.weights_bytes / 1e6:,.0f} MB",
        "empty": f"{blocks(log) * BLOCK_TOKENS - log.scenario.workload.prompt_tokens}",
    }


def answer_words(one: Evidence) -> Mapping[str, str]:
    return {run: mb(handoff_bytes(one.log(f"{run} answer"))) for run in ("short", "long")}


def is_exact(one: Evidence) -> bool:
    return handoff_bytes(one.log("tray")) == computed_bytes(one)


LESSON = Lesson(
    Path(__file__).parent,
    title="What is on the tray, if not the words?",
    minutes=6,
    rounds=(
        Round(
            "tray",
            "How heavy is the tray of a prompt of 512 tokens?",
            Number("MB", 0.001, 10_000.0),
            key=lambda evidence: exact(evidence.each(of("tray", tray_mb))),
            reasons=("Some bytes a token", "Some kilobytes a token", "As much as the model"),
            runs=tray,
            repeats=1,
            timed=False,
            numbers=tray_words,
            needs_machine=True,
        ),
        Round(
            "longer",
            "Choose the prompt's length. How heavy is its tray?",
            Number("MB", 0.001, 10_000.0),
            key=lambda evidence: exact(evidence.each(of("tray", tray_mb))),
            runs=tray,
            repeats=1,
            timed=False,
            knob=Knob("prompt length", (100.0, 250.0, 1000.0), "{:g} tokens".format),
            numbers=tray_words,
            needs_machine=True,
        ),
        Round(
            "check",
            "The same prompt, once with a short and once with a long answer. Whose tray is heavier at the handoff?",
            Choice(
                {"short answer": "the short answer's", "long answer": "the long answer's", "same": "about the same"}
            ),
            key=lambda evidence: greatest(untimed(evidence.each(named(tray_mb, *ANSWERS)))),
            runs=two_answers,
            repeats=1,
            timed=False,
            numbers=answer_words,
            view=lambda evidence: Bars("MB", {run: evidence.of(run, tray_mb) for run in ANSWERS}),
        ),
    ),
    claims=(
        Claim(
            "The formula gives the tray's bytes exactly.",
            "tray",
            is_exact,
            otherwise="The tray does not weigh what the formula says: this kitchen has another model.",
            name="exact",
        ),
        Claim(
            "It does so for a length that does not fill its last block.",
            "longer",
            is_exact,
            otherwise="The tray does not weigh what the formula says: this kitchen has another model.",
            name="whole-blocks",
        ),
        Claim(
            "What will be written later does not weigh at the handoff.",
            "check",
            lambda one: handoff_bytes(one.log(ANSWERS[0])) == handoff_bytes(one.log(ANSWERS[1])),
            otherwise="On your runs the two trays differ.",
            name="once",
        ),
    ),
)
