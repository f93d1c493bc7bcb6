"""One order on its way through the kitchen, in three languages."""

from collections.abc import Mapping
from pathlib import Path

from engine.events import Arrived
from engine.log import Log
from engine.scenario import Scenario
from lessons.evidence import CannotTell, Evidence
from lessons.keys import exact, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Number
from lessons.runs import alone, deployed, e2e_s, handoff_bytes, mb, ms, of, percent, prefill_s

PROMPT, OUTPUT = 256, 16
PERCENT = Number("%", 1.0, 100.0, log=False)


def one_order(setting: float) -> Mapping[str, Scenario]:
    return {"order": deployed("disaggregated", alone(PROMPT, int(setting) or OUTPUT))}


def prep_percent(log: Log) -> float:
    return 100 * prefill_s(log) / e2e_s(log)


def words_bytes(log: Log) -> float:
    for event in log.events:
        if isinstance(event, Arrived) and event.prompt:
            return float(len(event.prompt.encode()))
    raise CannotTell("The prompt's words are not in the log.")


def tray_ratio(log: Log) -> float:
    return handoff_bytes(log) / words_bytes(log)


def order_words(one: Evidence) -> Mapping[str, str]:
    log = one.log("order")
    return {
        "prompt": f"{PROMPT}",
        "output": f"{log.scenario.workload.output_tokens}",
        "prep": ms(prefill_s(log)),
        "all": ms(e2e_s(log)),
        "share": percent(prep_percent(log) / 100),
    }


def tray_words(one: Evidence) -> Mapping[str, str]:
    log = one.log("order")
    return {
        "tray": mb(handoff_bytes(log)),
        "words": f"{words_bytes(log):,.0f} bytes",
        "each": f"{handoff_bytes(log) / PROMPT:,.0f} bytes",
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="What is a language model's server doing all the time?",
    minutes=4,
    rounds=(
        Round(
            "order",
            "What share of an order's time goes into reading its prompt?",
            PERCENT,
            key=lambda evidence: number(evidence.each(of("order", prep_percent))),
            reasons=("There is far more to read than to write", "Writing goes token by token"),
            runs=one_order,
            numbers=order_words,
        ),
        Round(
            "longer",
            "Choose how long the answer is. What share of the time is reading now?",
            PERCENT,
            key=lambda evidence: number(evidence.each(of("order", prep_percent))),
            runs=one_order,
            repeats=2,
            knob=Knob("answer", (4.0, 32.0, 64.0), "{:g} tokens".format),
            numbers=order_words,
        ),
        Round(
            "check",
            "How much bigger is the tray than the prompt's text?",
            Number("times", 0.01, 1_000_000.0),
            key=lambda evidence: exact(evidence.repeats[0].each(of("order", tray_ratio))),
            numbers=tray_words,
            timed=False,
        ),
    ),
    claims=(
        Claim(
            "Writing a few tokens takes a good part of the time, though the prompt has many times as many.",
            "order",
            lambda one: prep_percent(one.log("order")) < 100 * (1 - OUTPUT / PROMPT) - 10,
            otherwise="Here reading takes nearly all of the time, as the mere count of tokens would have it.",
            name="weighs",
        ),
        Claim(
            "A tray is thousands of times larger than the words it was made from.",
            "check",
            lambda one: tray_ratio(one.log("order")) > 1000,
            otherwise="With this model a tray is less than a thousand times as large as the words.",
            name="heavy",
        ),
    ),
)
