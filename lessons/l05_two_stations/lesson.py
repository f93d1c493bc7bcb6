"""What is in a tray: KV bytes from the model's shape, then weighed on the real handoff."""

from collections.abc import Mapping
from pathlib import Path

from engine.log import Log
from engine.scenario import BLOCK_TOKENS, Scenario
from lessons.evidence import Evidence
from lessons.keys import greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import alone, deployed, handoff_bytes, mb, middle

PROMPT = 512


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


def computed_bytes(evidence: Evidence) -> int:
    """From the model's shape alone."""
    machine = evidence.machine
    assert machine is not None, "the round asks for it"
    return blocks(evidence.logs["tray"][0]) * BLOCK_TOKENS * machine.kv_bytes_per_token


def tray_words(evidence: Evidence) -> Mapping[str, str]:
    machine = evidence.machine
    assert machine is not None, "the round asks for it"
    log = evidence.logs["tray"][0]
    return {
        "tokens": f"{log.scenario.workload.prompt_tokens:,}",
        "per_token": f"{machine.kv_bytes_per_token:,} bytes",
        "blocks": f"{blocks(log)}",
        "block": f"{BLOCK_TOKENS}",
        "computed": f"{computed_bytes(evidence):,} bytes",
        "weighed": f"{handoff_bytes(log):,.0f} bytes",
        "weights": f"{machine.weights_bytes / 1e6:,.0f} MB",
    }


def answer_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "short": mb(middle(evidence.of("short answer", handoff_bytes))),
        "long": mb(middle(evidence.of("long answer", handoff_bytes))),
    }


def exact(evidence: Evidence) -> bool:
    return set(evidence.of("tray", handoff_bytes)) == {float(computed_bytes(evidence))}


LESSON = Lesson(
    Path(__file__).parent,
    title="What is on the tray, if not the words?",
    minutes=6,
    rounds=(
        Round(
            "tray",
            "How heavy is the tray of a prompt of 512 tokens?",
            Number("MB", 0.001, 10_000.0),
            key=lambda evidence: number(evidence.of("tray", tray_mb)),
            reasons=("Some bytes a token", "Some kilobytes a token", "As much as the model"),
            runs=tray,
            numbers=tray_words,
            needs_machine=True,
        ),
        Round(
            "longer",
            "Change the prompt's length. How heavy is its tray?",
            Number("MB", 0.001, 10_000.0),
            key=lambda evidence: number(evidence.of("tray", tray_mb)),
            runs=tray,
            knob=Knob("prompt length", (64.0, 250.0, 1024.0), "{:g} tokens".format),
            numbers=tray_words,
            needs_machine=True,
        ),
        Round(
            "check",
            "The same prompt, once with a short and once with a long answer. Whose tray is heavier at the handoff?",
            Choice(
                {"short answer": "the short answer's", "long answer": "the long answer's", "same": "about the same"}
            ),
            key=lambda evidence: greatest({run: evidence.of(run, tray_mb) for run in ("short answer", "long answer")}),
            runs=two_answers,
            repeats=2,
            numbers=answer_words,
            view=lambda evidence: Bars(
                "MB", {run: evidence.of(run, tray_mb) for run in ("short answer", "long answer")}
            ),
        ),
    ),
    claims=(
        Claim("The formula gives the tray's bytes exactly", "tray", exact),
        Claim("It does so for a length that does not fill its last block", "longer", exact),
        Claim(
            "What will be written later does not weigh at the handoff",
            "check",
            lambda evidence: evidence.of("short answer", handoff_bytes) == evidence.of("long answer", handoff_bytes),
        ),
    ),
)
