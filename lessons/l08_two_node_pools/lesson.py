"""Sizing two pools: the ratio P:D from the work, and the bandwidth between them from the trays."""

from collections.abc import Mapping
from pathlib import Path

from engine.log import Log
from engine.metrics import summarize
from engine.scenario import Scenario, Workload
from lessons.evidence import Evidence
from lessons.keys import greatest, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Bars, Choice, Number
from lessons.runs import deployed, handoff_bytes, middle, prefill_s, requests

PREFILL, DECODE = "worker-0", "worker-1"


def load(output_tokens: int) -> Workload:
    return Workload(requests=4, prompt_tokens=256, output_tokens=output_tokens, ignore_eos=True)


def reading(setting: float) -> Mapping[str, Scenario]:
    return {"pools": deployed("disaggregated", load(int(setting) or 6))}


def busy(log: Log, worker: str) -> float:
    return 100 * summarize(log.events).metrics.busy.get(worker, 0.0)


def work_ratio(log: Log) -> float:
    """Seconds of decode steps per second of prefill steps."""
    return busy(log, DECODE) / busy(log, PREFILL)


def road_mb_per_s(log: Log) -> float:
    """What the trays would need while the prefill worker is busy: their bytes over its seconds."""
    summary = summarize(log.events)
    shipped = sum(handoff.bytes for handoff in summary.handoffs)
    return shipped / max(request.ttft_s or 0.0 for request in summary.requests) / 1e6


def both(evidence: Evidence) -> dict[str, tuple[float, ...]]:
    return {
        "prefill": evidence.of("pools", lambda log: busy(log, PREFILL)),
        "decode": evidence.of("pools", lambda log: busy(log, DECODE)),
    }


def pool_words(evidence: Evidence) -> Mapping[str, str]:
    log = evidence.logs["pools"][0]
    summary = summarize(log.events)
    return {
        "prefill": f"{middle(both(evidence)['prefill']):.0f} %",
        "decode": f"{middle(both(evidence)['decode']):.0f} %",
        "ratio": f"{middle(evidence.of('pools', work_ratio)):.2g}",
        "output": f"{log.scenario.workload.output_tokens}",
        "tray": f"{summary.handoffs[0].bytes / 1e6:.3g} MB",
        "rate": f"{len(summary.requests) / max(request.ttft_s or 0.0 for request in summary.requests):.2g}",
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="Two pools, one budget: which one gets the next machine?",
    minutes=7,
    rounds=(
        Round(
            "busier",
            "Long prompts, answers of a few tokens, one worker of each kind. Which is busier?",
            Choice({"prefill": "the prefill worker", "decode": "the decode worker", "same": "about the same"}),
            key=lambda evidence: greatest(both(evidence)),
            runs=reading,
            numbers=pool_words,
            view=lambda evidence: Bars("% of the time", both(evidence)),
        ),
        Round(
            "ratio",
            "Change the length of the answers. How many seconds of decode come to one second of prefill?",
            Number("seconds", 0.01, 100.0),
            key=lambda evidence: number(evidence.of("pools", work_ratio)),
            runs=reading,
            repeats=2,
            knob=Knob("answers", (8.0, 32.0, 96.0), "{:g} tokens".format),
            numbers=pool_words,
        ),
        Round(
            "check",
            "How much bandwidth from pod to pod does one busy prefill worker need here, on average?",
            Number("MB/s", 0.1, 10_000.0),
            key=lambda evidence: number(evidence.of("pools", road_mb_per_s)),
            runs=reading,
            repeats=2,
            numbers=pool_words,
        ),
    ),
    claims=(
        Claim(
            "Long prompts with short answers keep the prefill worker busier",
            "busier",
            lambda evidence: greatest(both(evidence)).value == "prefill",
        ),
        Claim(
            "A prefill worker needs the bandwidth of the break-even: tray bytes over prefill seconds, within 25 %",
            "check",
            lambda evidence: all(
                abs(road_mb_per_s(log) / (handoff_bytes(log) * len(requests(log)) / prefill_s(log) / 1e6) - 1) < 0.25
                for log in evidence.logs["pools"]
            ),
        ),
    ),
)
