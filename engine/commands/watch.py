"""`split-kitchen watch`: a run of a real vLLM, from the files of the plugin inside it and of its client, or of NVIDIA
Dynamo, from the traces that it writes itself."""

import gzip
import io
import zlib
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from engine.errors import BadInput
from engine.failures import said_first
from engine.files import contents, reason
from engine.grammar import admit
from engine.log import MOST_BYTES, can_be_saved, save
from engine.metrics import summarize
from engine.report import report, table
from engine.vllm.dynamo import Pass, Served, dynamo_line, translate_dynamo
from engine.vllm.raw import Raw, parse
from engine.vllm.translate import Translation, translate


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--record", type=click.Path(path_type=Path), help="Write the event log here (.jsonl or .jsonl.gz).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.pass_context
def watch(context: click.Context, /, folder: Path, record: Path | None, as_json: bool) -> None:
    """Translate what a vLLM with the plugin, or NVIDIA Dynamo, wrote to FOLDER: docs/inside-vllm.md. The Kitchen can
    open the log that --record writes."""
    if record is not None:
        can_be_saved(record)
    found = watched(folder)
    if record is not None:
        save(found.log, record)
    failures = said_first(found.log.events)
    for sentence in failures:
        click.echo(sentence, err=True)
    summary = summarize(found.log.events)
    if as_json:
        click.echo(msgspec.json.encode(report(found.log, summary)).decode())
    else:
        table([(found.log.scenario.deployment.kind, summary)])
        for sentence in left_out(found):
            click.echo(sentence)
    if failures:
        context.exit(1)


def watched(folder: Path) -> Translation:
    """The run in a folder's `*.jsonl` and `*.jsonl.gz` files, one or more for each process. Raises BadInput."""
    try:
        files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")]) if folder.is_dir() else []
    except (OSError, ValueError):  # a name too long
        files = []
    if not files:
        raise BadInput("folder", str(folder), "a folder of .jsonl files that the vLLM plugin and its client wrote")
    lines: list[Raw] = []
    traced: list[Pass | Served] = []
    for file in files:
        try:
            said = _unpacked(file).splitlines(keepends=True)
        except (OSError, EOFError, zlib.error) as wrong:
            why = reason(wrong) if isinstance(wrong, OSError) else str(wrong)
            raise BadInput("folder", str(file), f"files that can be read ({why})") from wrong
        of_dynamo = [line for line in map(dynamo_line, said) if line is not None]
        traced += of_dynamo
        lines += [] if of_dynamo else parse(said, file.name)
    recorded_at = datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC).isoformat(timespec="seconds")
    try:
        found = translate_dynamo(traced, recorded_at) if traced else translate(lines, recorded_at)
    except LookupError as missing:
        allowed = f"the files of one run, all their lines in order: nothing there begins {str(missing)[:80]}"
        raise BadInput("folder", str(folder), allowed) from missing
    admit(found.log.events, str(folder))
    return found


def _unpacked(file: Path) -> bytes:
    data = contents(file, MOST_BYTES)
    return gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES) if data[:2] == b"\x1f\x8b" else data


def left_out(found: Translation) -> list[str]:
    """What the log lacks, one sentence each."""
    sentences = []
    if found.unasked:
        sentences.append(f"{found.unasked} requests are left out: they came from elsewhere, or before the run began.")
    if found.dropped:
        sentences.append(f"The plugin dropped {found.dropped:,} lines, because its queue was full.")
    return [*sentences, *(f"Missing: {miss}." for miss in found.misses)]
