"""The commands that need no browser: run, compare, doctor, worker. `lab` joins them in `lab/cli.py`.

Bad input ends with exit code 2 and one sentence on stderr, before anything has started.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import msgspec

from engine import units
from engine.cli_doctor import doctor
from engine.errors import BadInput, EngineError, TransportFailed
from engine.link import LinkSpec
from engine.log import Log, save
from engine.metrics import Spread, Summary, summarize
from engine.request import Sampling
from engine.scenario import (
    DTYPES,
    KINDS,
    SHIPPING,
    TRANSPORTS,
    Deployment,
    ModelSpec,
    Scenario,
    Workload,
    whole,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Split Kitchen: when should prefill and decode run on different hardware? Run the real engine and see."""


def run_cli(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. Bad input is one sentence and 2, an engine that failed is one and 1."""
    try:
        command.main(arguments, standalone_mode=False)
    except click.UsageError as wrong:
        click.echo(wrong.format_message(), err=True)
        return 2
    except BadInput as wrong:
        click.echo(str(wrong), err=True)
        return 2
    except EngineError as failed:
        click.echo(str(failed), err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130
    return 0


def scenario_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that describe a run, as `run`, `compare` and their relatives take them."""
    options = [
        click.option("--workers", type=int, help="Workers in all; with P and D given, their sum.  [default: 2]"),
        click.option("--prefill-workers", type=int, help="Prefill workers when disaggregated.  [default: 1]"),
        click.option("--decode-workers", type=int, help="Decode workers when disaggregated.  [default: the others]"),
        click.option("--prompt-tokens", type=int, default=256, show_default=True),
        click.option("--output-tokens", type=int, default=32, show_default=True, help="At most; an answer may end."),
        click.option("--requests", type=int, default=8, show_default=True),
        click.option("--rate", default="inf", show_default=True, help="Requests/s, Poisson; inf: all at once."),
        click.option("--long-prompt-tokens", type=int, default=0, help="Length of the few long prompts, if any."),
        click.option("--long-every", type=int, default=0, help="Which requests are long: every so many-th."),
        click.option("--link", default="none", show_default=True, help="Bandwidth as 100MB/s; none: unpaced."),
        click.option("--latency", default="0s", show_default=True, help="Of the link, as 1ms."),
        click.option("--transport", default="shm", show_default=True, help=f"One of {', '.join(TRANSPORTS)}."),
        click.option("--ship", default="whole", show_default=True, help=f"One of {', '.join(SHIPPING)}."),
        click.option("--first-token", default="prefill", show_default=True, help="Who samples it: prefill or decode."),
        click.option("--chunk", type=int, default=256, show_default=True, help="Token budget of a chunked step."),
        click.option("--dtype", default="auto", show_default=True, help=f"One of {', '.join(DTYPES)}."),
        click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id."),
        click.option("--kv-blocks", type=int, default=2048, show_default=True, help="Blocks of 16 tokens per worker."),
        click.option("--temperature", type=float, default=0.0, show_default=True, help="0 is greedy."),
        click.option("--top-p", type=float, default=1.0, show_default=True),
        click.option("--ignore-eos", is_flag=True, help="Always make all output tokens."),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--prompts", type=click.Path(path_type=Path), help="A prompt a line, used in turn."),
        click.option("--listen", help="HOST:PORT where the workers join, instead of starting them here."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else."),
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


@cli.command()
@click.option("--deployment", default="disaggregated", show_default=True, help=f"One of {', '.join(KINDS)}.")
@click.option("--record", type=click.Path(path_type=Path), help="Write the event log here (.jsonl or .jsonl.gz).")
@scenario_options
def run(deployment: str, record: Path | None, as_json: bool, **options: Any) -> None:
    """Run a workload on one deployment of the real engine."""
    if record is not None and not record.parent.is_dir():
        raise BadInput("record", str(record), "in a folder that exists")
    (log,) = _run([deployment], options)
    if record is not None:
        save(log, record)
    summary = summarize(log.events)
    if as_json:
        click.echo(msgspec.json.encode(report(log, summary)).decode())
        return
    for request in summary.requests:
        click.echo(f"{request.id}: {request.text.strip()}\n")
    _table([(deployment, summary)])


@cli.command()
@scenario_options
def compare(as_json: bool, **options: Any) -> None:
    """Run the same requests on all three deployments, with the same number of workers."""
    logs = _run(KINDS, options)
    summaries = [summarize(log.events) for log in logs]
    if as_json:
        reports = [report(log, summary) for log, summary in zip(logs, summaries, strict=True)]
        click.echo(msgspec.json.encode({"deployments": reports}).decode())
        return
    _table(list(zip(KINDS, summaries, strict=True)))


@cli.command()
@click.option("--join", "address", required=True, help="HOST:PORT where `run --listen` or a lab waits for workers.")
@click.option("--role", default="any", show_default=True, help="Which seat to take: any, prefill or decode.")
@click.option("--host", help="This host's address for other workers.  [default: the one it joins from]")
def worker(address: str, role: str, host: str | None) -> None:
    """Be a worker on this host for an engine elsewhere. Both need the same secret in SPLIT_KITCHEN_KEY."""
    from engine.live.door import join, shared_key
    from engine.live.process import serve

    if role not in ("any", "prefill", "decode"):
        raise BadInput("role", role, "one of any, prefill, decode")
    door, key = units.host_and_port("join", address), shared_key()
    connection, own_address = join(door, key)
    try:
        serve(connection, role=role, host=host or own_address, key=key)
    except EOFError as sent_away:
        raise TransportFailed(f"{address} has no seat for a worker of role {role}, or its run is over.") from sent_away


cli.add_command(doctor)


# ---- from options to a scenario, from a log to a report


def _run(kinds: Sequence[str], options: dict[str, Any]) -> list[Log]:
    """The same options on each deployment, by the same workers; all are checked before these are started."""
    from engine.live.run import run_each

    described_as = [described(kind, **options) for kind in kinds]
    _, prompts, listen = described_as[0]
    return run_each([scenario for scenario, _, _ in described_as], prompts, listen=listen)


def described(
    kind: str,
    *,
    workers: int | None,
    prefill_workers: int | None,
    decode_workers: int | None,
    link: str,
    latency: str,
    transport: str,
    ship: str,
    first_token: str,
    chunk: int,
    dtype: str,
    model: str,
    kv_blocks: int,
    prompts: Path | None,
    listen: str | None,
    **workload: Any,
) -> tuple[Scenario, list[str], tuple[str, int] | None]:
    """The scenario that the options describe, the prompts' words, and where workers join. Raises BadInput."""
    prefill, total = _counts(workers, prefill_workers, decode_workers)
    load = _workload(**workload)
    scenario = Scenario(
        # unchecked words are let in here; `checked` names those that are not allowed
        Deployment(kind, total, prefill, chunk, transport, ship, first_token),  # type: ignore[arg-type]
        LinkSpec(units.bytes_per_s("link", link), units.seconds("latency", latency)),
        load,
        ModelSpec(model, dtype, kv_blocks),  # type: ignore[arg-type]
    ).checked()
    words = list(islice(cycle(_lines(prompts)), load.requests)) if prompts is not None else []
    return scenario, words, units.host_and_port("listen", listen) if listen else None


def _counts(workers: int | None, prefill: int | None, decode: int | None) -> tuple[int, int]:
    """(prefill workers, workers), from as many of the three numbers as were given."""
    for field, value in (("workers", workers), ("prefill workers", prefill), ("decode workers", decode)):
        if value is not None:
            whole(field, value, 1, 16)
    if prefill is None:
        prefill = workers - decode if workers is not None and decode is not None else 1
    total = workers if workers is not None else prefill + (decode or 1)
    if decode is not None and prefill + decode != total:
        raise BadInput("workers", total, f"{prefill + decode}, the prefill and decode workers together")
    return prefill, total


def _workload(rate: str, temperature: float, top_p: float, **rest: Any) -> Workload:
    if not 0 <= temperature <= 2:
        raise BadInput("temperature", temperature, "from 0 (greedy) to 2")
    if not 0 < top_p <= 1:
        raise BadInput("top p", top_p, "above 0, at most 1")
    return Workload(rate_per_s=units.rate_per_s("rate", rate), sampling=Sampling(temperature, top_p), **rest)


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput("prompts", str(file), "a text file with a prompt a line") from wrong
    if not lines:
        raise BadInput("prompts", str(file), "a text file with at least one prompt")
    return lines


def report(log: Log, summary: Summary) -> dict[str, Any]:
    """What `--json` prints of a run."""
    handoffs = summary.handoffs
    moving_s = sum(handoff.seconds for handoff in handoffs)
    deployment = log.scenario.deployment
    return {
        "deployment": deployment.kind,
        "workers": deployment.workers,
        "requests": summary.requests,
        "metrics": summary.metrics,
        "handoffs": handoffs,
        "link": {
            "configured_bytes_per_s": log.scenario.link.bandwidth_bytes_per_s,
            "achieved_bytes_per_s": sum(handoff.bytes for handoff in handoffs) / moving_s if moving_s else None,
            "transport": deployment.transport,
        },
        "machine": log.machine,
    }


def _table(rows: Sequence[tuple[str, Summary]]) -> None:
    click.echo(
        f"{'':14}{'TTFT p50':>10}{'p90':>8}{'ITL p50':>10}{'p99':>8}{'max stall':>11}{'E2E p50':>10}{'tok/s':>8}"
    )
    for name, summary in rows:
        m = summary.metrics
        click.echo(
            f"{name:14}{_s(m.ttft_s):>10}{m.ttft_s.p90:7.2f}s{m.itl_s.p50 * 1e3:8.0f}ms{m.itl_s.p99 * 1e3:6.0f}ms"
            f"{m.max_stall_s * 1e3:9.0f}ms{_s(m.e2e_s):>10}{m.output_tokens_per_s:8.1f}"
        )
    for name, summary in rows:
        for handoff in summary.handoffs:
            size, rate = units.in_words(handoff.bytes, "B"), units.in_words(handoff.bytes_per_s, "B/s")
            checked = "verified" if handoff.verified else "NOT VERIFIED"
            click.echo(f"{name} handoff {handoff.request}: {size} in {handoff.seconds * 1e3:.1f} ms, {rate}, {checked}")


def _s(spread: Spread) -> str:
    return f"{spread.p50:.2f}s"
