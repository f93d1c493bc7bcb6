"""One order on its way through the kitchen, in three languages."""

from collections.abc import Mapping
from pathlib import Path

from engine.events import Arrived
from engine.log import Log
from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Number
from lessons.runs import alone, deployed, handoff_bytes, mb, middle, ms, prefill_s, requests

PROMPT, OUTPUT = 256, 16


def one_order(setting: float) -> Mapping[str, Scenario]:
    return {"order": deployed("disaggregated", alone(PROMPT, int(setting) or OUTPUT))}


def prep_percent(log: Log) -> float:
    return 100 * prefill_s(log) / (requests(log)[0].e2e_s or 1.0)


def words_bytes(log: Log) -> float:
    return float(next(len(event.prompt.encode()) for event in log.events if isinstance(event, Arrived)))


def tray_ratio(evidence: Evidence) -> tuple[float, ...]:
    return evidence.of("order", lambda log: handoff_bytes(log) / words_bytes(log))


def order_words(evidence: Evidence) -> Mapping[str, str]:
    log = evidence.logs["order"][0]
    return {
        "prompt": f"{PROMPT}",
        "output": f"{log.scenario.workload.output_tokens}",
        "prep": ms(middle(evidence.of("order", prefill_s))),
        "all": ms(middle(evidence.of("order", lambda log: requests(log)[0].e2e_s or 0.0))),
        "tray": mb(middle(evidence.of("order", handoff_bytes))),
        "words": f"{middle(evidence.of('order', words_bytes)):,.0f} bytes",
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="What is a language model's server doing all the time?",
    minutes=5,
    rounds=(
        Round(
            "order",
            "What part of an order's time goes into reading its prompt?",
            Number("%", 1.0, 100.0, log=False),
            key=lambda evidence: number(evidence.of("order", prep_percent)),
            reasons=("There is far more to read than to write", "Writing goes token by token"),
            runs=one_order,
            numbers=order_words,
        ),
        Round(
            "longer",
            "Change the length of the answer. What part is reading now?",
            Number("%", 1.0, 100.0, log=False),
            key=lambda evidence: number(evidence.of("order", prep_percent)),
            runs=one_order,
            knob=Knob("answer", (4.0, 32.0, 64.0), "{:g} tokens".format),
            numbers=order_words,
        ),
        Round(
            "check",
            "How many times as many bytes as the prompt's own words has its tray?",
            Number("times", 0.01, 1_000_000.0),
            key=lambda evidence: number(tray_ratio(evidence)),
            runs=one_order,
            numbers=order_words,
        ),
    ),
    claims=(
        Claim(
            "Writing a few tokens takes a good part of the time, though the prompt has many times as many",
            "order",
            lambda evidence: middle(evidence.of("order", prep_percent)) < 65,
        ),
        Claim(
            "A tray is thousands of times larger than the words it was made from",
            "check",
            lambda evidence: min(tray_ratio(evidence)) > 1000,
        ),
    ),
)
