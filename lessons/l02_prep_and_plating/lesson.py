"""One model, two phases: prefill is short of arithmetic, decode is short of memory bandwidth."""

from collections.abc import Mapping
from pathlib import Path

from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import Key, choice, curve, number
from lessons.lesson import Claim, Knob, Lesson, Round
from lessons.question import Choice, Curve, Lines, Number
from lessons.runs import alone, decode_step_s, deployed, middle, ms, prefill_s, prefill_s_per_token, together

PROMPT = 256
BATCHES = (1.0, 2.0, 4.0, 8.0, 16.0)


def phases(setting: float) -> Mapping[str, Scenario]:
    return {"prefill": deployed("disaggregated", alone(PROMPT)), "decode": deployed("disaggregated", together(1))}


def per_token_ratio(evidence: Evidence) -> tuple[float, ...]:
    """How many times a decoded token's seconds are those of a prompt token, in each repeat."""
    decode, prefill = evidence.of("decode", decode_step_s), evidence.of("prefill", prefill_s_per_token)
    return tuple(slow / quick for slow, quick in zip(decode, prefill, strict=True))


def phase_words(evidence: Evidence) -> Mapping[str, str]:
    return {
        "prompt_ms": ms(middle(evidence.of("prefill", prefill_s))),
        "per_prompt_token_ms": ms(middle(evidence.of("prefill", prefill_s_per_token))),
        "decode_ms": ms(middle(evidence.of("decode", decode_step_s))),
    }


def batches(setting: float) -> Mapping[str, Scenario]:
    return {f"{n:g}": deployed("disaggregated", together(int(n))) for n in BATCHES}


def step_curve(evidence: Evidence) -> Key:
    return curve([[seconds * 1e3 for seconds in evidence.of(f"{n:g}", decode_step_s)] for n in BATCHES])


def step_ms(evidence: Evidence, batch: float) -> float:
    return middle(evidence.of(f"{batch:g}", decode_step_s)) * 1e3


def batch_words(evidence: Evidence) -> Mapping[str, str]:
    one, many = step_ms(evidence, BATCHES[0]), step_ms(evidence, BATCHES[-1])
    return {
        "one_ms": f"{one:.0f} ms",
        "many_ms": f"{many:.0f} ms",
        "many": f"{BATCHES[-1]:g}",
        "slower": f"{many / one:.1f}",
        "throughput": f"{BATCHES[-1] * one / many:.1f}",
    }


def roofline(evidence: Evidence) -> Lines:
    """Both phases on this machine's roofline: FLOPs per byte of weights read, and the GFLOP/s reached."""
    machine = evidence.machine
    assert machine is not None, "the round asks for it"
    flops, decode_flops = machine.prefill_flops_per_token, 2.0 * machine.parameters
    prefill_intensity = PROMPT * 2 / machine.bytes_per_parameter
    decode_intensity = decode_flops / machine.weights_bytes
    points = {
        "prefill": tuple((prefill_intensity, PROMPT * flops / s / 1e9) for s in evidence.of("prefill", prefill_s)),
        "decode": tuple((decode_intensity, decode_flops / s / 1e9) for s in evidence.of("decode", decode_step_s)),
    }
    peak, read = machine.peak_flops_per_s / 1e9, machine.read_bytes_per_s / 1e9
    least, most = 0.3, PROMPT * 4.0
    limits = {
        "memory bandwidth": ((least, least * read), (peak / read, peak)),
        "peak compute": ((peak / read, peak), (most, peak)),
    }
    return Lines("FLOPs per byte of weights", "GFLOP/s", points, limits)


def reached(evidence: Evidence, phase: str) -> float:
    """The median FLOP/s of a phase."""
    return 1e9 * middle(tuple(y for _, y in roofline(evidence).points[phase]))


def scarce(evidence: Evidence) -> Key:
    """What decode is nearer to its limit of: compute, or reading."""
    machine = evidence.machine
    assert machine is not None, "the round asks for it"
    compute = reached(evidence, "decode") / machine.peak_flops_per_s
    reading = machine.weights_bytes / middle(evidence.of("decode", decode_step_s)) / machine.read_bytes_per_s
    return choice("bandwidth" if reading > compute else "compute")


def limit_words(evidence: Evidence) -> Mapping[str, str]:
    machine = evidence.machine
    assert machine is not None, "the round asks for it"
    seconds = middle(evidence.of("decode", decode_step_s))
    return {
        "compute_share": f"{reached(evidence, 'decode') / machine.peak_flops_per_s:.0%}",
        "reading_share": f"{machine.weights_bytes / seconds / machine.read_bytes_per_s:.0%}",
        "prefill_share": f"{reached(evidence, 'prefill') / machine.peak_flops_per_s:.0%}",
        "peak": f"{machine.peak_flops_per_s / 1e9:,.0f} GFLOP/s",
        "read": f"{machine.read_bytes_per_s / 1e9:.3g} GB/s",
        "weights": f"{machine.weights_bytes / 1e6:,.0f} MB",
        "floor_ms": ms(machine.weights_bytes / machine.read_bytes_per_s),
    }


def prompt_run(setting: float) -> Mapping[str, Scenario]:
    return {"prompt": deployed("disaggregated", alone(int(setting)))}


def prompt_words(evidence: Evidence) -> Mapping[str, str]:
    return {"tokens": f"{evidence.setting:g}", "each_ms": ms(middle(evidence.of("prompt", prefill_s_per_token)))}


LESSON = Lesson(
    Path(__file__).parent,
    title="Reading a page is quicker than writing a line. How can that be?",
    minutes=8,
    rounds=(
        Round(
            "phases",
            "How many times longer does one token take to write than to read?",
            Number("times", 0.1, 1000.0),
            key=lambda evidence: number(per_token_ratio(evidence)),
            reasons=("It is the same arithmetic per token", "Tokens that are read share a step", "Writing is harder"),
            runs=phases,
            numbers=phase_words,
        ),
        Round(
            "limits",
            "When it writes one answer, which limit is this machine nearer to?",
            Choice({"compute": "arithmetic: its FLOP/s", "bandwidth": "memory: the bytes it can read per second"}),
            key=scarce,
            runs=phases,
            numbers=limit_words,
            view=roofline,
            needs_machine=True,
        ),
        Round(
            "batch",
            "How long is one decode step when more answers are written side by side? Draw it.",
            Curve(BATCHES, "answers in the batch", "one step", "ms", 5.0, 5000.0),
            key=step_curve,
            runs=batches,
            repeats=2,
            numbers=batch_words,
        ),
        Round(
            "check",
            "Change the prompt's length. How long does its whole prefill take now?",
            Number("ms", 5.0, 50_000.0),
            key=lambda evidence: number([seconds * 1e3 for seconds in evidence.of("prompt", prefill_s)]),
            runs=prompt_run,
            knob=Knob("prompt length", (64.0, 512.0, 1024.0), "{:g} tokens".format),
            numbers=prompt_words,
        ),
    ),
    claims=(
        Claim(
            "A token costs several times more to write alone than to read among others",
            "phases",
            lambda evidence: min(per_token_ratio(evidence)) > 3,
        ),
        Claim(
            "Prefill comes nearer to the machine's peak FLOP/s than decode does",
            "limits",
            lambda evidence: reached(evidence, "prefill") > 2 * reached(evidence, "decode"),
        ),
        Claim(
            "Decode alone is nearer to the limit of memory than to that of compute",
            "limits",
            lambda evidence: scarce(evidence).value == "bandwidth",
        ),
        Claim(
            "Batching decode is cheap: many answers a step cost far less than as many steps",
            "batch",
            lambda evidence: step_ms(evidence, BATCHES[-1]) < 0.5 * BATCHES[-1] * step_ms(evidence, BATCHES[0]),
        ),
    ),
)
