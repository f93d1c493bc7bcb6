"""`split-kitchen`'s commands that need no browser. `lab` joins them in `lab/web/cli.py`.

Bad input ends with exit code 2 and one sentence on stderr, before anything has started. A run in which a request
failed, or every handoff, says so first and ends with 1, after its numbers: engine/failures.py.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from engine import units
from engine.commands import bench_engine
from engine.commands.advise import advise
from engine.commands.bench import bench
from engine.commands.doctor import doctor
from engine.commands.inside import checked_engine, engine_options, on_vllm
from engine.commands.model import model
from engine.commands.outside import endpoint_options, sent, told
from engine.commands.reality import reality
from engine.commands.simulate import simulate
from engine.commands.watch import watch
from engine.errors import BadInput, EngineError, TransportFailed
from engine.events import Finished
from engine.failures import said_first
from engine.log import Log, can_be_saved, save
from engine.metrics import summarize
from engine.options import described, kind_asked, policy_option, scenario_options
from engine.report import OUTSIDE, remarks, report, table
from engine.scenario import KINDS

MOST_LETTERS = 400


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Split Kitchen: when should prefill and decode run on different hardware? Run the real engine and see."""


def run_cli(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. Bad input is one sentence and 2, an engine that failed is one and 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal in latin-1 shows "?" for what it cannot, and no traceback
            stream.reconfigure(errors="replace")
    try:
        code = command.main(arguments, standalone_mode=False)
    except click.UsageError as wrong:
        click.echo(_on_a_line(wrong.format_message()), err=True)
        return 2
    except BadInput as wrong:
        click.echo(str(wrong), err=True)
        return 2
    except EngineError as failed:
        click.echo(str(failed), err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130
    return code if isinstance(code, int) else 0


def _on_a_line(said: str) -> str:
    """What click says repeats the value, whatever that is."""
    plain = " ".join(said.split())
    return plain if len(plain) <= MOST_LETTERS else f"{plain[:MOST_LETTERS]} ... {plain[-80:]}"


@cli.command()
@click.option("--deployment", default="disaggregated", show_default=True, help=f"One of {', '.join(KINDS)}.")
@click.option("--record", type=click.Path(path_type=Path), help="Write the event log here (.jsonl or .jsonl.gz).")
@policy_option
@endpoint_options
@engine_options
@scenario_options
@click.pass_context
def run(
    context: click.Context,
    /,
    deployment: str,
    record: Path | None,
    policy: Path | None,
    endpoint: str | None,
    served_model: str,
    api: str,
    extra_body: str,
    engine: str,
    vllm_python: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a workload on one deployment of the real engine, or send it to a server of yours with --endpoint."""
    if record is not None:
        can_be_saved(record)
    if endpoint is not None:
        log = sent(context, endpoint, served_model, api, extra_body, options)
    elif policy is not None:
        log = _run_own(context, policy, engine, options)
    else:
        (log,) = _run([deployment], engine, vllm_python, options)
    name = OUTSIDE if endpoint else log.scenario.deployment.title
    failures = [*_cut_off(log), *said_first(log.events)]
    if record is not None:
        try:
            save(log, record)
        except BadInput as lost:  # the disk is full now, but the numbers are still worth printing
            failures.append(str(lost))
    for sentence in failures:
        click.echo(sentence, err=True)
    summary = summarize(log.events)
    if as_json:
        click.echo(msgspec.json.encode(report(log, summary)).decode())
    else:
        for request in summary.requests:
            click.echo(f"{request.id}: {request.text.strip()}\n")
        table([(name, summary)])
        remarks([(name, log)])
        told(log)
    if failures:
        context.exit(1)


@cli.command()
@engine_options
@scenario_options
@click.pass_context
def compare(context: click.Context, /, engine: str, vllm_python: str | None, as_json: bool, **options: Any) -> None:
    """Run the same requests on all three deployments, with the same number of workers."""
    logs = _run(KINDS, engine, vllm_python, options)
    made = list(zip(KINDS, logs, strict=False))  # fewer, if Ctrl-C was pressed
    failures = [f"{kind}: {said}" for kind, log in made for said in (*_cut_off(log), *said_first(log.events))]
    for sentence in failures:
        click.echo(sentence, err=True)
    summaries = [summarize(log.events) for log in logs]
    if as_json:
        reports = [report(log, summary) for log, summary in zip(logs, summaries, strict=True)]
        click.echo(msgspec.json.encode({"deployments": reports}).decode())
    else:
        table(list(zip(KINDS, summaries, strict=False)))
        remarks(made)
    if failures:
        context.exit(1)


@cli.command()
@click.option("--join", "address", required=True, help="HOST:PORT where `run --listen` or a lab waits for workers.")
@click.option("--role", default="any", show_default=True, help="Which seat to take: any, prefill or decode.")
@click.option("--host", help="This host's address for other workers.  [default: the one it joins from]")
def worker(address: str, role: str, host: str | None) -> None:
    """Be a worker on this host for an engine elsewhere. Both need the same secret in SPLIT_KITCHEN_KEY."""
    from engine.live.process.join_server import join, shared_key
    from engine.live.process.worker_process import serve

    if role not in ("any", "prefill", "decode"):
        raise BadInput("role", role, "one of any, prefill, decode")
    door, key = units.host_and_port("join", address), shared_key()
    connection, own_address = join(door, key)
    try:
        serve(connection, role=role, host=host or own_address, key=key)
    except EOFError as sent_away:
        raise TransportFailed(f"{address} has no seat for a worker of role {role}, or its run is over.") from sent_away


def _cut_off(log: Log) -> list[str]:
    """A sentence if the run ended before its requests did, as it does when Ctrl-C is pressed."""
    ended = sum(isinstance(event, Finished) and event.reason != "cancelled" for event in log.events)
    of = log.scenario.workload.requests
    return [f"{of - ended} of {of} requests were cut off, or never sent."] if ended < of else []


def _run_own(context: click.Context, policy: Path, engine: str, options: dict[str, Any]) -> Log:
    """The workload, served as the caller's file says."""
    from engine.live.process.run import run_live

    if checked_engine(engine) == "vllm":
        raise BadInput("policy", str(policy), "left out with --engine vllm, which has its own scheduler")
    kind, own = kind_asked(context, policy)
    scenario, prompts, listen = described(kind, **options)
    return run_live(own.deployed(scenario) if own else scenario, prompts, listen=listen, own=policy)


def _run(kinds: Sequence[str], engine: str, vllm_python: str | None, options: dict[str, Any]) -> list[Log]:
    """The same options on each deployment, by the same workers; all are checked before these are started."""
    if checked_engine(engine) == "vllm":
        return on_vllm(kinds, vllm_python, options)
    from engine.live.process.run import run_each

    described_as = [described(kind, **options) for kind in kinds]
    _, prompts, listen = described_as[0]
    return run_each([scenario for scenario, _, _ in described_as], prompts, listen=listen)


cli.add_command(doctor)
cli.add_command(advise)
cli.add_command(simulate)
cli.add_command(model)
cli.add_command(reality)
cli.add_command(watch)
for command in (
    bench_engine.compute,
    bench_engine.inside,
    bench_engine.guard,
    bench_engine.handoff,
    bench_engine.start,
    bench_engine.growth,
):
    bench.add_command(command)
cli.add_command(bench)
