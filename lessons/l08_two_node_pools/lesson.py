"""Sizing two pools: the ratio P:D from the work, and the bandwidth between them from the trays."""

from collections.abc import Mapping
from pathlib import Path

from engine.log import Log
from engine.metrics import summarize
from engine.scenario import Scenario, Workload
from engine.units import amount
from lessons.evidence import Evidence
from lessons.keys import greatest
from lessons.lesson import Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Bars, Choice
from lessons.runs import deployed, handoff_bytes, mb, prefill_s, requests, some

PREFILL, DECODE = "worker-0", "worker-1"
OUTPUT = 6


def load(output_tokens: int) -> Workload:
    return Workload(requests=4, prompt_tokens=256, output_tokens=output_tokens, ignore_eos=True)


def reading(setting: float) -> Mapping[str, Scenario]:
    return {"pools": deployed("disaggregated", load(int(setting) or OUTPUT))}


def busy(log: Log, worker: str) -> float:
    return some(100 * summarize(log.events).metrics.busy.get(worker, 0.0), "One of the workers did nothing.")


def busy_both(one: Evidence) -> dict[str, float]:
    log = one.log("pools")
    return {"prefill": busy(log, PREFILL), "decode": busy(log, DECODE)}


def work_ratio(log: Log) -> float:
    """Seconds of decode steps per second of prefill steps."""
    return busy(log, DECODE) / busy(log, PREFILL)


def last_read_s(log: Log) -> float:
    """When the last prompt had been read: they all came at second 0."""
    return some(max(request.ttft_s or 0.0 for request in requests(log)), "No prompt was read.")


def road_mb_per_s(log: Log) -> float:
    """What the trays would need while the prefill worker is busy: their bytes over its seconds."""
    shipped = sum(handoff.bytes for handoff in summarize(log.events).handoffs)
    return some(shipped / last_read_s(log) / 1e6, "No tray was carried over.")


def is_the_break_even(one: Evidence) -> bool:
    log = one.log("pools")
    return abs(road_mb_per_s(log) / (handoff_bytes(log) * len(requests(log)) / prefill_s(log) / 1e6) - 1) < 0.25


def pool_words(one: Evidence) -> Mapping[str, str]:
    log = one.log("pools")
    both = busy_both(one)
    return {
        "prefill": f"{both['prefill']:.0f} %",
        "decode": f"{both['decode']:.0f} %",
        "ratio": amount(work_ratio(log)),
        "output": f"{log.scenario.workload.output_tokens}",
        "tray": mb(handoff_bytes(log)),
        "road": amount(road_mb_per_s(log), "MB/s"),
        "rate": amount(len(requests(log)) / last_read_s(log)),
    }


def pool_numbers(one: Evidence) -> Mapping[str, float]:
    both = busy_both(one)
    return {
        "prefill worker busy, %": both["prefill"],
        "decode worker busy, %": both["decode"],
        "seconds of decode for each second of prefill": work_ratio(one.log("pools")),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Two pools, one budget: which one gets the next machine?",
    minutes=5,
    rounds=(
        Round(
            "busier",
            "Long prompts, answers of a few tokens, one worker of each kind. Which is busier?",
            Choice({"prefill": "the prefill worker", "decode": "the decode worker", "same": "about the same"}),
            key=lambda evidence: greatest(evidence.each(busy_both)),
            runs=reading,
            numbers=pool_words,
            view=lambda evidence, told: Bars(
                "% of the time",
                {
                    "prefill worker": evidence.of("pools", lambda log: busy(log, PREFILL)),
                    "decode worker": evidence.of("pools", lambda log: busy(log, DECODE)),
                },
                told,
            ),
            free=FreeKnob(
                Knob("answers", (3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0), "{:g} tokens".format),
                at=OUTPUT,
                says="Make the answers longer, until one prefill worker needs one decode worker, then more than one.",
                runs=reading,
                numbers=pool_numbers,
            ),
        ),
    ),
    claims=(
        Claim(
            "Long prompts with short answers keep the prefill worker busier.",
            "busier",
            lambda one: busy_both(one)["prefill"] > 1.15 * busy_both(one)["decode"],
            otherwise="On your runs the prefill worker is not clearly the busier one.",
            name="prompts",
        ),
        Claim(
            "A prefill worker needs the bandwidth of the break-even: tray bytes over prefill seconds, within 25 %.",
            "busier",
            is_the_break_even,
            otherwise="On your runs the trays need another bandwidth than that of the break-even.",
            name="even",
        ),
    ),
)
