"""One model, two phases: prefill is short of arithmetic, decode is short of memory bandwidth."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.scenario import Scenario
from engine.units import amount, percent
from lessons.evidence import CannotTell, Evidence
from lessons.keys import curve, greatest, number
from lessons.lesson import Claim, Lesson, Round
from lessons.question import Choice, Curve, Lines, Number
from lessons.runs import (
    alone,
    decode_step_s,
    deployed,
    ms,
    prefill_s,
    prefill_s_per_token,
    together,
)

PROMPT = 256
BATCHES = (1.0, 2.0, 4.0, 8.0, 16.0)
LEAST_SHARE = 0.2  # of a limit: whoever uses less of both is held up by something else


def phases(setting: float) -> Mapping[str, Scenario]:
    return {"prefill": deployed("disaggregated", alone(PROMPT)), "decode": deployed("disaggregated", together(1))}


def per_token_ratio(one: Evidence) -> float:
    """How many times a decoded token's seconds are those of a prompt token."""
    return decode_step_s(one.log("decode")) / prefill_s_per_token(one.log("prefill"))


def phase_words(one: Evidence) -> Mapping[str, str]:
    return {
        "prompt_ms": ms(prefill_s(one.log("prefill"))),
        "per_prompt_token_ms": ms(prefill_s_per_token(one.log("prefill"))),
        "decode_ms": ms(decode_step_s(one.log("decode"))),
        "prompt": f"{PROMPT}",
    }


# ---- which limit


def prefill_flops_per_s(one: Evidence) -> float:
    return PROMPT * one.known_machine.prefill_flops_per_token / prefill_s(one.log("prefill"))


def decode_flops_per_s(one: Evidence) -> float:
    return 2.0 * one.known_machine.parameters / decode_step_s(one.log("decode"))


def shares(one: Evidence) -> dict[str, float]:
    """How much of each limit a lone decode step uses. Raises CannotTell where it uses little of either."""
    machine = one.known_machine
    reading = machine.weights_bytes / decode_step_s(one.log("decode")) / machine.read_bytes_per_s
    used = {"compute": decode_flops_per_s(one) / machine.peak_flops_per_s, "bandwidth": reading}
    if max(used.values()) < LEAST_SHARE:
        raise CannotTell(
            f"A decode step used {percent(used['compute'])} of the arithmetic and {percent(reading)} of the bandwidth: "
            "neither limit held it up, so something else on this machine did."
        )
    return used


def knee(one: Evidence) -> float:
    """The batch at which the two limits meet: below, fetching the weights takes longer; above, multiplying does."""
    machine = one.known_machine
    fetching_s = machine.weights_bytes / machine.read_bytes_per_s
    return fetching_s / (2.0 * machine.parameters / machine.peak_flops_per_s)


def limit_words(one: Evidence) -> Mapping[str, str]:
    machine, used = one.known_machine, shares(one)
    return {
        "compute_share": percent(used["compute"]),
        "reading_share": percent(used["bandwidth"]),
        "prefill_share": percent(prefill_flops_per_s(one) / machine.peak_flops_per_s),
        "peak": f"{machine.peak_flops_per_s / 1e9:,.0f} GFLOP/s",
        "read": f"{amount(machine.read_bytes_per_s / 1e9)} GB/s",
        "weights": f"{machine.weights_bytes / 1e6:,.0f} MB",
        "floor_ms": ms(machine.weights_bytes / machine.read_bytes_per_s),
        "each_ms": ms(2.0 * machine.parameters / machine.peak_flops_per_s),
        "knee": f"{knee(one):.0f}",
        "prompt": f"{PROMPT}",
    }


def roofline(evidence: Evidence, told: int | None) -> Lines:
    """Both phases on this machine's roofline: FLOPs per byte of weights read, and the GFLOP/s reached."""
    machine = evidence.known_machine
    ridge = machine.peak_flops_per_s / machine.read_bytes_per_s
    intensity = {"prefill": PROMPT * 2 / machine.bytes_per_parameter, "decode": 2 / machine.bytes_per_parameter}
    reached = {"prefill": prefill_flops_per_s, "decode": decode_flops_per_s}
    points = {
        phase: tuple((intensity[phase], one.value / 1e9) for one in evidence.each(fold))
        for phase, fold in reached.items()
    }
    peak, read = machine.peak_flops_per_s / 1e9, machine.read_bytes_per_s / 1e9
    least, most = min(0.3, ridge / 2), max(PROMPT * 4.0, ridge * 2)
    limits = {
        "memory bandwidth": ((least, least * read), (ridge, peak)),
        "peak compute": ((ridge, peak), (most, peak)),
    }
    return Lines("FLOPs per byte of weights", "GFLOP/s", points, limits)


# ---- the knee


def batches(setting: float) -> Mapping[str, Scenario]:
    return {f"{n:g}": deployed("disaggregated", together(int(n))) for n in BATCHES}


def step_s(one: Evidence, batch: float) -> float:
    return decode_step_s(one.log(f"{batch:g}"))


def step_curve(one: Evidence) -> list[float]:
    return [1e3 * step_s(one, batch) for batch in BATCHES]


def bound_s(one: Evidence, batch: float) -> float:
    """A step's length by the roofline."""
    machine = one.known_machine
    multiplying_s = 2.0 * machine.parameters * batch / machine.peak_flops_per_s
    return max(machine.weights_bytes / machine.read_bytes_per_s, multiplying_s)


def growth(one: Evidence, batch: float) -> float:
    return step_s(one, batch) / step_s(one, BATCHES[0])


def as_predicted(one: Evidence) -> bool:
    """Far below the knee, up to a 32nd of it, the step grows far less than its batch: by less than half for twice or
    more answers. At a sixteenth the step of a Xeon was up to 1.43 times as long.

    Between two batches by a straight line: the knee is measured, and must not choose between two steps that differ."""
    far, grown = max(knee(one) / 32, BATCHES[1]), {batch: growth(one, batch) for batch in BATCHES}
    until = [times for batch, times in grown.items() if batch <= far]
    return max(*until, float(np.interp(far, list(grown), list(grown.values())))) < 1.5


def batch_words(one: Evidence) -> Mapping[str, str]:
    few, many = BATCHES[2], BATCHES[-1]
    return {
        "one_ms": ms(step_s(one, BATCHES[0])),
        "few_ms": ms(step_s(one, few)),
        "many_ms": ms(step_s(one, many)),
        "few": f"{few:g}",
        "many": f"{many:g}",
        "slower": f"{growth(one, many):.1f}",
        "throughput": f"{many / growth(one, many):.1f}",
        "knee": f"{knee(one):.0f}",
        "one_bound": ms(bound_s(one, BATCHES[0])),
        "many_bound": ms(bound_s(one, many)),
    }


def steps_and_bound(evidence: Evidence, told: int | None) -> Lines:
    one = evidence.repeats[told or 0]
    points = tuple((n, 1e3 * step_s(one, n)) for n in BATCHES)
    bound = tuple((n, 1e3 * bound_s(evidence, n)) for n in BATCHES)
    return Lines("answers in the batch", "one step, ms", {"measured": points}, {"by the roofline": bound})


LESSON = Lesson(
    Path(__file__).parent,
    title="Reading a page is quicker than writing a line. How can that be?",
    minutes=8,
    rounds=(
        Round(
            "phases",
            "How much longer does it take to write one token than to read one?",
            Number("times", 0.1, 1000.0),
            key=lambda evidence: number(evidence.each(per_token_ratio)),
            reasons=("It is the same arithmetic per token", "Tokens that are read share a step", "Writing is harder"),
            runs=phases,
            most_repeats=9,  # a step of prefill takes up to twice as long from one second to the next
            numbers=phase_words,
        ),
        Round(
            "limits",
            "When it writes one answer, which limit is this machine nearer to?",
            Choice({"compute": "arithmetic: its FLOP/s", "bandwidth": "memory: the bytes it can read per second"}),
            key=lambda evidence: greatest(evidence.each(shares), 1.5, same=None),
            runs=phases,
            most_repeats=9,
            numbers=limit_words,
            view=roofline,
            needs_machine=True,
        ),
        Round(
            "batch",
            "How long does one decode step take when more answers are written side by side? Draw it.",
            Curve(BATCHES, "answers in the batch", "one step", "ms", 5.0, 5000.0),
            key=lambda evidence: curve(evidence.each(step_curve), duration=True),
            runs=batches,
            run_says="{} side by side",
            most_repeats=6,
            numbers=batch_words,
            view=steps_and_bound,
            needs_machine=True,
        ),
    ),
    claims=(
        Claim(
            "A token costs several times more to write alone than to read among others.",
            "phases",
            lambda one: per_token_ratio(one) > 3,
            otherwise="On your runs a written token costs less than three times one that is read.",
            name="dear",
        ),
        Claim(
            "Decode alone is nearer to the limit of memory than to that of compute.",
            "limits",
            lambda one: shares(one)["bandwidth"] > 1.5 * shares(one)["compute"],
            otherwise="On your runs decode is not clearly nearer to the limit of memory.",
            name="starved",
        ),
        Claim(
            "Prefill comes nearer to the machine's peak FLOP/s than decode does.",
            "limits",
            lambda one: prefill_flops_per_s(one) > 2 * decode_flops_per_s(one),
            otherwise="On your runs prefill comes hardly nearer to the peak than decode.",
        ),
        Claim(
            "Batching decode pays: many answers a step cost far less than as many steps.",
            "batch",
            lambda one: growth(one, BATCHES[-1]) < 0.5 * BATCHES[-1],
            otherwise="On your runs a step of many answers costs more than half as much as that many steps.",
            name="cheap",
        ),
        Claim(
            "Far below the predicted knee, a step grows far less than its batch.",
            "batch",
            as_predicted,
            otherwise="On your runs the step grows from the start, far below the predicted knee.",
            name="predicted",
        ),
    ),
)
