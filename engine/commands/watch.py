"""`split-kitchen watch`: a run of a real vLLM, from the files of the plugin inside it and of its client."""

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from engine.errors import BadInput
from engine.files import contents, reason
from engine.grammar import admit
from engine.log import MOST_BYTES, can_be_saved, save
from engine.metrics import summarize
from engine.report import report, table
from engine.vllm.raw import Raw, parse
from engine.vllm.translate import Translation, translate


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--record", type=click.Path(path_type=Path), help="Write the event log here (.jsonl or .jsonl.gz).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def watch(folder: Path, record: Path | None, as_json: bool) -> None:
    """Translate what a vLLM with the plugin wrote to FOLDER. The Kitchen can open the log that --record writes."""
    if record is not None:
        can_be_saved(record)
    found = watched(folder)
    if record is not None:
        save(found.log, record)
    summary = summarize(found.log.events)
    if as_json:
        click.echo(msgspec.json.encode(report(found.log, summary)).decode())
        return
    table([(found.log.scenario.deployment.kind, summary)])
    for sentence in left_out(found):
        click.echo(sentence)


def watched(folder: Path) -> Translation:
    """The run in a folder's `*.jsonl` files, one or more for each process. Raises BadInput."""
    try:
        files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    except (OSError, ValueError):  # a name too long
        files = []
    if not files:
        raise BadInput("folder", str(folder), "a folder of .jsonl files that the vLLM plugin and its client wrote")
    lines: list[Raw] = []
    for file in files:
        try:
            lines += parse(contents(file, MOST_BYTES).splitlines(keepends=True), file.name)
        except OSError as wrong:
            raise BadInput("folder", str(file), f"files that can be read ({reason(wrong)})") from wrong
    recorded_s = max(file.stat().st_mtime for file in files)
    try:
        found = translate(lines, datetime.fromtimestamp(recorded_s, UTC).isoformat(timespec="seconds"))
    except LookupError as missing:
        allowed = f"the files of one run, all their lines in order: nothing there begins {str(missing)[:80]}"
        raise BadInput("folder", str(folder), allowed) from missing
    admit(found.log.events, str(folder))
    return found


def left_out(found: Translation) -> list[str]:
    """What the log lacks, one sentence each."""
    sentences = []
    if found.unasked:
        sentences.append(f"{found.unasked} requests are left out: they came from elsewhere, or before the run began.")
    if found.dropped:
        sentences.append(f"The plugin dropped {found.dropped:,} lines, because its queue was full.")
    return [*sentences, *(f"Missing: {miss}." for miss in found.misses)]
