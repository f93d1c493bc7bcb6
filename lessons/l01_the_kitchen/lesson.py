"""One order on its way through the kitchen, in three languages."""

from collections.abc import Mapping
from pathlib import Path

from engine.events import Arrived
from engine.log import Log
from engine.scenario import Scenario
from lessons.evidence import CannotTell, Evidence
from lessons.keys import exact, number
from lessons.lesson import Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Number
from lessons.runs import alone, deployed, e2e_s, handoff_bytes, mb, ms, of, prefill_s

PROMPT = 256
ANSWERS = (16.0, 32.0, 64.0)
PERCENT = Number("%", 1.0, 100.0, log=False)


def small_order(setting: float) -> Mapping[str, Scenario]:
    return {"small order": deployed("disaggregated", alone(64, 4))}


def one_order(setting: float) -> Mapping[str, Scenario]:
    return {"order": deployed("disaggregated", alone(PROMPT, int(setting)))}


def prep_percent(log: Log) -> float:
    return 100 * prefill_s(log) / e2e_s(log)


def words_bytes(log: Log) -> float:
    for event in log.events:
        if isinstance(event, Arrived) and event.prompt:
            return float(len(event.prompt.encode()))
    raise CannotTell("The prompt's words are not in the log.")


def tray_ratio(log: Log) -> float:
    return handoff_bytes(log) / words_bytes(log)


def tray_words(one: Evidence) -> Mapping[str, str]:
    log = one.log("small order")
    tokens = log.scenario.workload.prompt_tokens
    return {
        "tray": mb(handoff_bytes(log)),
        "words": f"{words_bytes(log):,.0f} bytes",
        "tokens": f"{tokens}",
        "each": f"{handoff_bytes(log) / tokens:,.0f} bytes",
    }


def order_words(one: Evidence) -> Mapping[str, str]:
    log = one.log("order")
    return {
        "prompt": f"{PROMPT}",
        "output": f"{log.scenario.workload.output_tokens}",
        "prep": ms(prefill_s(log)),
        "all": ms(e2e_s(log)),
    }


def order_numbers(one: Evidence) -> Mapping[str, float]:
    log = one.log("order")
    return {
        "reading, ms": 1e3 * prefill_s(log),
        "the whole order, ms": 1e3 * e2e_s(log),
        "share of reading, %": prep_percent(log),
    }


def weighs(log: Log) -> bool:
    """Whether reading has far less of the time than of the tokens."""
    output = log.scenario.workload.output_tokens
    return prep_percent(log) < 100 * PROMPT / (PROMPT + output) - 10


LESSON = Lesson(
    Path(__file__).parent,
    title="What is a language model's server doing all the time?",
    minutes=4,
    rounds=(
        Round(
            "tray",
            "How many times bigger is the tray than the prompt's text, in bytes?",
            Number("times", 0.01, 1_000_000.0),
            key=lambda evidence: exact(evidence.each(of("small order", tray_ratio))),
            reasons=("It holds the words", "It holds the model", "It holds what was computed from each word"),
            runs=small_order,
            repeats=1,
            timed=False,
            numbers=tray_words,
        ),
        Round(
            "order",
            "Choose how long the answer is. What share of the order's time goes into reading the prompt?",
            PERCENT,
            key=lambda evidence: number(evidence.each(of("order", prep_percent))),
            reasons=("There is far more to read than to write", "Writing goes token by token"),
            runs=one_order,
            most_repeats=9,  # a step of prefill takes up to twice as long from one second to the next
            knob=Knob("answer", ANSWERS, "{:g} tokens".format),
            numbers=order_words,
            free=FreeKnob(
                Knob("answer", (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0), "{:g} tokens".format),
                at=ANSWERS[0],
                says="Make the answer longer: reading is paid once for an order, writing for every token.",
                runs=one_order,
                numbers=order_numbers,
            ),
        ),
    ),
    claims=(
        Claim(
            "Writing a few tokens takes a good part of the time, though the prompt has many times as many.",
            "order",
            lambda one: weighs(one.log("order")),
            otherwise="Here reading has about the share of the time that it has of the tokens.",
            name="weighs",
        ),
        Claim(
            "A tray is thousands of times larger than the words it was made from.",
            "tray",
            lambda one: tray_ratio(one.log("small order")) > 1000,
            otherwise="With this model a tray is less than a thousand times as large as the words.",
            name="heavy",
        ),
    ),
)
