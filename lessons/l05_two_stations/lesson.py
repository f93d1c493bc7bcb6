"""What is in a tray: KV bytes from the model's shape, then weighed on the real handoff."""

from collections.abc import Mapping
from pathlib import Path

from engine.fleet.catalog.hf_config import model
from engine.log import Log
from engine.scenario import BLOCK_TOKENS, Scenario
from lessons.evidence import Evidence
from lessons.keys import greatest, untimed
from lessons.lesson import Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Choice
from lessons.runs import alone, bars, deployed, handoff_bytes, mb, named

PROMPT = 100  # tokens, which do not fill their last block
MODEL = "SmolLM2-135M"  # the kitchen's, unless another was chosen
LAYERS, KV_HEADS, HEAD_SIZE = 30, 3, 64
NUMBERS = 2 * LAYERS * KV_HEADS * HEAD_SIZE  # of one token: keys and values
SHORT, LONG = "short answer", "long answer"
LARGE, LARGE_PROMPT = "llama-3.1-8b", 4096


def two_answers(setting: float) -> Mapping[str, Scenario]:
    return {SHORT: deployed("disaggregated", alone(PROMPT, 4)), LONG: deployed("disaggregated", alone(PROMPT, 32))}


def of_length(setting: float) -> Mapping[str, Scenario]:
    return {SHORT: deployed("disaggregated", alone(int(setting), 4))}


def tray_mb(log: Log) -> float:
    return handoff_bytes(log) / 1e6


def blocks(log: Log) -> int:
    """Whole blocks are shipped, so the last one may be partly empty."""
    return -(-log.scenario.workload.prompt_tokens // BLOCK_TOKENS)


def computed_bytes(one: Evidence) -> int:
    """From the model's shape alone."""
    return blocks(one.log(SHORT)) * BLOCK_TOKENS * NUMBERS * one.known_machine.bytes_per_parameter


def tray_words(one: Evidence) -> Mapping[str, str]:
    machine, log = one.known_machine, one.log(SHORT)
    large = model(LARGE)
    return {
        "short": mb(handoff_bytes(log)),
        "long": mb(handoff_bytes(one.log(LONG))),
        "tokens": f"{log.scenario.workload.prompt_tokens:,}",
        "model": MODEL,
        "layers": f"{LAYERS}",
        "heads": f"{KV_HEADS}",
        "size": f"{HEAD_SIZE}",
        "filled_in": f"2 × {LAYERS} × {KV_HEADS} × {HEAD_SIZE} × {machine.bytes_per_parameter}",
        "per_token": f"{NUMBERS * machine.bytes_per_parameter:,} bytes",
        "blocks": f"{blocks(log)}",
        "block": f"{BLOCK_TOKENS}",
        "computed": f"{computed_bytes(one):,} bytes",
        "weighed": f"{handoff_bytes(log):,.0f} bytes",
        "empty": f"{blocks(log) * BLOCK_TOKENS - log.scenario.workload.prompt_tokens}",
        "weights": f"{machine.weights_bytes / 1e6:,.0f} MB",
        "large": large.label,
        "large_tokens": f"{LARGE_PROMPT:,}",
        "large_tray": mb(LARGE_PROMPT * large.kv_bytes_per_token),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="What is on the tray, if not the words?",
    minutes=4,
    rounds=(
        Round(
            "once",
            "The same prompt, once with a short and once with a long answer. Whose tray is heavier at the handoff?",
            Choice({SHORT: "the short answer's", LONG: "the long answer's", "same": "both weigh the same"}),
            key=lambda evidence: greatest(untimed(evidence.each(named(tray_mb, SHORT, LONG)))),
            reasons=("The answer's tokens have keys and values, too", "The prompt is the same"),
            runs=two_answers,
            repeats=1,
            timed=False,
            numbers=tray_words,
            view=bars("MB", tray_mb, SHORT, LONG),
            needs_machine=True,
            free=FreeKnob(
                Knob("prompt length", (16.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0), "{:g} tokens".format),
                at=PROMPT,
                says="Trays grow in proportion to the prompt, rounded up to whole blocks.",
                runs=of_length,
                numbers=lambda one: {"tray, MB": tray_mb(one.log(SHORT)), "blocks": float(blocks(one.log(SHORT)))},
            ),
        ),
    ),
    claims=(
        Claim(
            "What will be written later does not weigh at the handoff.",
            "once",
            lambda one: handoff_bytes(one.log(SHORT)) == handoff_bytes(one.log(LONG)),
            otherwise="On your runs the two trays differ.",
            name="alike",
        ),
        Claim(
            "The formula gives the tray's bytes exactly, also where a prompt does not fill its last block.",
            "once",
            lambda one: handoff_bytes(one.log(SHORT)) == computed_bytes(one),
            otherwise="The tray does not weigh what the formula says: this kitchen has another model.",
            name="exact",
        ),
    ),
)
