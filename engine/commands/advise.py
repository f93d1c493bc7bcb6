"""`split-kitchen advise`: should prefill and decode be split on this fleet, and what has to be mended first?"""

import textwrap
from pathlib import Path
from typing import Any

import click
import msgspec

from engine import units
from engine.errors import BadInput
from engine.fleet.advice import Advice
from engine.fleet.advisor import advise as advised
from engine.fleet.exports.files import files
from engine.fleet.hardware import fabrics, gpus
from engine.fleet.hf_config import models
from engine.fleet.question import ENGINES, Question
from engine.sim.traces import read_trace

WIDTH = 110


@click.command()
@click.option("--gpus", type=int, default=8, show_default=True, help="In all.")
@click.option("--gpu", default="h100-sxm", show_default=True, help=f"One of {', '.join(gpus())}.")
@click.option(
    "--model", default="llama-3.1-8b", show_default=True, help=f"A config.json, or one of {', '.join(models())}."
)
@click.option("--engine", default="vllm", show_default=True, help=f"One of {', '.join(ENGINES)}.")
@click.option("--isl", "isl_tokens", type=int, default=4096, show_default=True, help="Prompt tokens.")
@click.option("--osl", "osl_tokens", type=int, default=256, show_default=True, help="Output tokens.")
@click.option("--rate", default="4", show_default=True, help="Requests/s.")
@click.option("--ttft-slo", default="2s", show_default=True, help="For 90 % of the requests.")
@click.option("--itl-slo", default="50ms", show_default=True, help="For 99 % of the gaps between tokens.")
@click.option("--prefix-reuse", type=float, default=0.0, help="Share of a prompt whose KV workers have, as 0.3.")
@click.option("--fabric", default="", help=f"Between pools; one of {', '.join(fabrics())}.  [default: the GPU's]")
@click.option("--links-down", type=int, default=0, help="How many of those do not work.")
@click.option("--nvlink-gpus", type=int, default=0, help="GPUs that one NVLink domain joins.  [default: node, or pair]")
@click.option("--trace", type=click.Path(path_type=Path), help="Azure CSV or Mooncake JSONL: lengths and arrivals.")
@click.option(
    "--export", "folder", type=click.Path(path_type=Path), help="Write report, vLLM, Dynamo, Kubernetes here."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def advise(
    rate: str, ttft_slo: str, itl_slo: str, trace: Path | None, folder: Path | None, as_json: bool, **asked: Any
) -> None:
    """Split prefill and decode, or keep them together? Simulates both on the same number of GPUs."""
    per_s = units.rate_per_s("rate", rate)
    if per_s is None:
        raise BadInput("rate", rate, "requests per second above 0: with all at once there is no gap to keep")
    question = Question(
        rate_per_s=per_s,
        ttft_slo_s=units.seconds("ttft slo", ttft_slo),
        itl_slo_s=units.seconds("itl slo", itl_slo),
        trace=tuple(read_trace(trace)) if trace else (),
        **asked,
    ).checked()
    if folder is not None and folder.exists() and not folder.is_dir():
        raise BadInput("export", str(folder), "a folder")
    advice = advised(question, None if as_json else _progress)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files(advice).items():
            (folder / name).write_text(text, "utf-8")
    if as_json:
        click.echo(msgspec.json.encode(_without_trace(advice)).decode())
        return
    _show(advice)
    if folder is not None:
        click.echo(f"\nWritten to {folder}: {', '.join(sorted(files(advice)))}")


def _progress(share: float, what: str) -> None:
    click.echo(f"\r{share:4.0%} {what[:90]:90}", nl=share == 1.0, err=True)


def _without_trace(advice: Advice) -> Advice:
    """A trace is the asker's own; it would be all that one sees."""
    return msgspec.structs.replace(advice, question=msgspec.structs.replace(advice.question, trace=()))


def _show(advice: Advice) -> None:
    click.echo(f"{advice.verdict}\n")
    click.echo(textwrap.fill(advice.sentence, WIDTH))
    other = advice.runner_up
    ranked = [f"{other.candidate.label}, at {other.headroom:.2g} times the targets"] if other else []
    tier = [advice.next_tier.sentence] if advice.next_tier else []
    turned = [v for v in advice.uncertainty if v.verdict != advice.verdict]
    sure = [f"With {variation.what}: {variation.verdict}." for variation in turned]
    for title, lines in (
        ("Why", [reason.sentence for reason in advice.reasons]),
        ("Runner-up", ranked),
        ("What would change it", [flip.sentence for flip in advice.flips]),
        ("Next tier", tier),
        ("How sure", ["The verdict is the same in all that was varied."] if advice.firm else sure),
        ("Findings", [f"{found.severity}: {found.what} {found.effect} {found.fix}" for found in advice.findings]),
        ("Assumed", [advice.assumes]),
    ):
        if lines:
            click.echo(f"\n{title}")
        for line in lines:
            click.echo(textwrap.fill(line, WIDTH, initial_indent="  - ", subsequent_indent="    "))
