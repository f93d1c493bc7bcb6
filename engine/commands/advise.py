"""`split-kitchen advise`: should prefill and decode be split on this fleet, and what has to be fixed first?"""

import tempfile
import textwrap
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from engine import units
from engine.errors import BadInput
from engine.files import contents, reason as why_not, write_whole
from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.advisor import advise as advised
from engine.fleet.advisor.metrics_page import MOST_BYTES, read_metrics
from engine.fleet.advisor.plan import SAID
from engine.fleet.advisor.question import Question, rate_of_users
from engine.fleet.advisor.question_from_host import here
from engine.fleet.catalog.engines import ENGINES
from engine.fleet.catalog.hardware import fabrics, gpus
from engine.fleet.catalog.hf_config import model as real_model, models
from engine.fleet.catalog.precision import PRECISIONS
from engine.fleet.exports.files import files
from engine.fleet.host.finding import Tray
from engine.fleet.host.findings import findings
from engine.fleet.host.nvml import read_fleet
from engine.live.this_machine import core_count
from engine.scenario import whole
from engine.sim.traces import read_trace
from engine.units import amount, in_time, percent

WIDTH = 110


@click.command()
@click.option("--gpus", type=int, default=8, show_default=True, help="In all.")
@click.option("--gpu", default="h100-sxm", show_default=True, help=f"One of {', '.join(gpus())}.")
@click.option(
    "--model", default="llama-3.1-8b", show_default=True, help=f"A config.json, or one of {', '.join(models())}."
)
@click.option("--tp", type=int, default=0, help="GPUs per worker.  [default: the best]")
@click.option("--precision", default="", help=f"Of weights: {', '.join(PRECISIONS)}.  [default: the model's]")
@click.option("--kv-dtype", default="", help="Of the KV cache: bf16 or fp8.  [default: the model's]")
@click.option("--engine", default="vllm", show_default=True, help=f"One of {', '.join(ENGINES)}.")
@click.option("--isl", "isl_tokens", type=int, default=4096, show_default=True, help="Prompt tokens.")
@click.option("--osl", "osl_tokens", type=int, default=256, show_default=True, help="Output tokens.")
@click.option("--rate", default="4", show_default=True, help="Requests/s.")
@click.option("--users", type=int, default=0, help="A closed loop of so many users instead of a rate.")
@click.option("--ttft-slo", default="2s", show_default=True, help="For 90 % of the requests.")
@click.option("--itl-slo", default="50ms", show_default=True, help="For 99 % of the gaps between tokens.")
@click.option("--tpot-slo", default="", help="Instead of --itl-slo: for the mean gap of 90 % of the requests.")
@click.option(
    "--prefix-reuse", type=float, default=0.0, help="Share of a prompt whose KV workers already have, such as 0.3."
)
@click.option("--fabric", default="", help=f"Between pools; one of {', '.join(fabrics())}.  [default: the GPU's]")
@click.option("--one-port", is_flag=True, help="All handoffs share one such link.  [default: one per GPU]")
@click.option("--links-down", type=int, default=0, help="How many of those do not work.")
@click.option("--nvlink-gpus", type=int, default=0, help="GPUs that one NVLink domain joins.  [default: node, or pair]")
@click.option(
    "--here", "from_here", is_flag=True, help="Take GPUs, fabric and links that are down from this machine's NVML."
)
@click.option("--metrics", type=click.Path(path_type=Path), help="A server's /metrics page: lengths, rate, reuse.")
@click.option("--trace", type=click.Path(path_type=Path), help="Recorded requests: lengths and arrivals.")
@click.option(
    "--export", "folder", type=click.Path(path_type=Path), help="Write report, vLLM, Dynamo, Kubernetes here."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
@click.pass_context
def advise(
    context: click.Context,
    /,
    rate: str,
    ttft_slo: str,
    itl_slo: str,
    tpot_slo: str,
    users: int,
    from_here: bool,
    metrics: Path | None,
    trace: Path | None,
    folder: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Split prefill and decode, or keep them together? Simulates both on the same number of GPUs.

    Options on the command line take precedence over --here and --metrics.
    """
    per_s = units.rate_per_s("rate", rate)
    if per_s is None:
        raise BadInput("rate", rate, "requests per second above 0: there is no steady rate if all come at once")
    _one_load(context, metrics, trace, users)
    asked |= {"rate_per_s": per_s, "ttft_slo_s": units.seconds("ttft slo", ttft_slo)}
    asked |= {"promised": "tpot" if tpot_slo else "itl", "itl_slo_s": units.seconds("itl slo", tpot_slo or itl_slo)}
    if users:
        asked["rate_per_s"] = rate_of_users(users, asked["osl_tokens"], asked["ttft_slo_s"], asked["itl_slo_s"])
    asked |= {"trace": tuple(read_trace(trace)) if trace else ()}
    told = [
        *(_take_here(context, asked) if from_here else ()),
        *(_take_load(context, asked, metrics) if metrics else ()),
    ]
    question = Question(**asked).checked()
    if folder is not None:
        _make(folder)
    for line in () if as_json else told:
        click.echo(textwrap.fill(line, WIDTH), err=True)
    advice = advised(question, None if as_json else _progress, at_once=int(core_count()))
    if folder is not None:
        _write(folder, advice)
    if as_json:
        click.echo(msgspec.json.encode(_without_trace(advice)).decode())
        return
    _show(advice)
    if folder is not None:
        click.echo(f"\nWritten to {folder}: {', '.join(sorted(files(advice)))}")


def _make(folder: Path) -> None:
    """Before the advice is asked for, which takes a while. Raises BadInput."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError as file:
        raise BadInput("export", str(folder), "a folder") from file
    except (OSError, ValueError) as why:
        said = why_not(why) if isinstance(why, OSError) else "no folder has such a name"
        raise BadInput("export", str(folder), f"a folder that can be written ({said})") from why


def _write(folder: Path, advice: Advice) -> None:
    try:
        for name, text in files(advice).items():
            write_whole(folder / name, text.encode())
    except OSError as why:  # a full disk
        raise BadInput("export", str(folder), f"a folder that can be written ({why_not(why)})") from why


def _one_load(context: click.Context, metrics: Path | None, trace: Path | None, users: int) -> None:
    """Raises BadInput for options that contradict each other, so that none is silently ignored."""
    whole("users", users, 0, 100_000)

    def given(option: str) -> bool:
        return context.get_parameter_source(option) is not ParameterSource.DEFAULT

    if metrics and trace:
        raise BadInput("metrics", str(metrics), "left out with --trace: each describes the load")
    for option, name in (("rate", "rate"), ("isl_tokens", "isl"), ("osl_tokens", "osl")):
        if trace and given(option):
            raise BadInput(name, context.params[option], "left out with --trace, which has it")
    if users and (given("rate") or trace):
        raise BadInput("users", users, "left out with --rate or --trace: each says how many requests come")
    if given("tpot_slo") and given("itl_slo"):
        raise BadInput("tpot slo", context.params["tpot_slo"], "left out with --itl-slo: only one can be the target")


def _take_here(context: click.Context, asked: dict[str, Any]) -> list[str]:
    fleet = read_fleet()
    found = here(fleet)
    _take(context, asked, gpus=found.gpus, gpu=found.gpu, fabric=found.fabric, links_down=found.links_down)
    tray = Tray(real_model(asked["model"]), asked["isl_tokens"])
    asked["findings"] = tuple(finding for finding in findings(fleet, tray) if finding.severity != "info")
    return [found.sentence]


def _take_load(context: click.Context, asked: dict[str, Any], page: Path) -> list[str]:
    """The page was read at the file's modification time."""
    try:
        load = read_metrics(contents(page, MOST_BYTES).decode(), page.stat().st_mtime)
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput("metrics", str(page), "a readable file, such as curl HOST:8000/metrics > FILE makes") from wrong
    _take(context, asked, isl_tokens=load.isl_tokens, osl_tokens=load.osl_tokens)
    if load.prefix_reuse is not None:
        _take(context, asked, prefix_reuse=load.prefix_reuse)
    if context.get_parameter_source("rate") is ParameterSource.DEFAULT and not context.params["users"]:
        if load.rate_per_s is None:
            raise BadInput("rate", "unknown: the page does not say when its server started", "given with --rate")
        asked["rate_per_s"] = load.rate_per_s
    return load.sentences()


def _take(context: click.Context, asked: dict[str, Any], **found: object) -> None:
    """Set what was found, except options given on the command line."""
    default = ParameterSource.DEFAULT
    asked |= {name: value for name, value in found.items() if context.get_parameter_source(name) is default}


def _progress(share: float, what: str) -> None:
    click.echo(f"\r{share:4.0%} {what[:90]:90}", nl=share == 1.0, err=True)


def _without_trace(advice: Advice) -> Advice:
    """The asker has the trace; in the output it would bury everything else."""
    return msgspec.structs.replace(advice, question=msgspec.structs.replace(advice.question, trace=()))


def _show(advice: Advice) -> None:
    click.echo(f"{advice.verdict}: {SAID[advice.verdict]}\n")
    click.echo(textwrap.fill(advice.sentence, WIDTH))
    other = advice.runner_up
    ranked = [f"{other.candidate.label} sustains {amount(other.sustained_per_s)} requests/s"] if other else []
    tier = [advice.next_tier.sentence] if advice.next_tier else []
    turned = [v for v in advice.uncertainty if v.verdict != advice.verdict]
    sure = [f"With {variation.what}: {SAID[variation.verdict]}." for variation in turned]
    sure = [advice.close, *sure] if advice.close else sure
    chosen = advice.chosen.then
    sure.append(
        f"Its capacity was found with {chosen.requests:,} simulated requests, which replaced those in flight "
        f"{chosen.turnovers:.1f} times; times may be off by {percent(advice.error)}."
    )
    front = [f"{one.candidate.label}: TTFT {in_time(one.ttft_s)}, ITL {in_time(one.itl_s)}" for one in advice.frontier]
    few = [f"{advice.fewest_gpus} of these GPUs sustain the rate without splitting."] if advice.fewest_gpus else []
    for title, lines in (
        ("Why", [reason.sentence for reason in advice.reasons]),
        ("Runner-up", ranked),
        ("What would change it", [flip.sentence for flip in advice.flips]),
        ("Next tier", tier),
        ("Fewest GPUs", few),
        ("Nothing beats these at the asked rate", front),
        ("How sure", [*(["The verdict is the same with every variation."] if advice.firm else []), *sure]),
        ("Findings", [f"{found.severity}: {found.what} {found.effect} {found.fix}" for found in advice.findings]),
        ("Assumed", [advice.assumes]),
    ):
        if lines:
            click.echo(f"\n{title}")
        for line in lines:
            click.echo(textwrap.fill(line, WIDTH, initial_indent="  - ", subsequent_indent="    "))
