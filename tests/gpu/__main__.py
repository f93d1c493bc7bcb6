"""`python -m tests.gpu`: all checks on this machine's first GPU, and some on its first two, offline, in some minutes;
also `make gpu-check`.

What it finds can be added to `engine/live/gpu-checked.json` with --out; pages and `doctor` quote that file.
"""

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import torch

from engine.errors import BadInput
from engine.live.gpus import Checked, environment, places
from tests.gpu import sound, speed
from tests.gpu.bench import Bench, LeftOut

Check = Callable[[Bench], str]
QUICK: tuple[Check, ...] = (
    sound.memory_between_processes,
    sound.tokens_of_one_process,
    sound.tokens_of_workers,
    sound.tokens_of_workers_over_nixl,
    sound.tokens_of_workers_on_two_gpus,
    sound.workers_that_die,
)
SLOW: tuple[Check, ...] = (
    speed.logits_beside_transformers,
    speed.times_of_steps,
    speed.paces_of_trays,
    speed.ways_between_gpus,
    speed.gaps_beside_a_prefill,
)


@click.command()
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:N, or stand-in: this CPU, to try it.")
@click.option("--quick", is_flag=True, help="Only what must be right, and not how fast it is.")
@click.option("--slow", is_flag=True, help="Only the rest of it.")
@click.option("--out", type=click.Path(path_type=Path), help="Add what was found to this JSON file.")
@click.option("--models", type=click.Path(path_type=Path), help="Keep the large random model in this folder.")
def main(device: str, quick: bool, slow: bool, out: Path | None, models: Path | None) -> None:
    """Check the engine on a GPU; ends with 1 if a check failed."""
    if out is not None and device == "stand-in":
        raise click.UsageError("the stand-in is no GPU: nothing of it may be written down as if it were")
    try:
        there = tuple(dict.fromkeys(places(device)))
    except BadInput as wrong:
        click.echo(str(wrong), err=True)
        sys.exit(2)
    with tempfile.TemporaryDirectory() as scratch:
        found = check(Bench(there, models or Path(scratch)), (*(() if slow else QUICK), *(() if quick else SLOW)))
    if out is not None:
        earlier = msgspec.json.decode(out.read_bytes(), type=list[Checked]) if out.exists() else []
        out.write_bytes(msgspec.json.format(msgspec.json.encode(added(earlier, found)), indent=2) + b"\n")
    sys.exit(0 if found.passed else 1)


def same_as_workers() -> None:
    """Begin again in the environment that workers have, if this is another: GPUs have the same numbers there, and their
    memory can be shared."""
    wanted = environment() | {"HF_HUB_OFFLINE": "1"}
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


def check(bench: Bench, checks: tuple[Check, ...]) -> Checked:
    """Run them all, whatever fails, and say how each ended."""
    rows, failed = {}, {}
    for act in checks:
        name, begun_s = act.__name__.replace("_", " "), time.monotonic()
        try:
            bench.let_go()  # here, since on a GPU whose memory was broken by the last check this fails, too
            rows[name] = said = act(bench)
        except LeftOut as why:  # it neither passed nor failed
            said = f"left out: {why}"
        except Exception as wrong:  # the others' results are wanted all the same
            traceback.print_exc()
            failed[name] = said = f"FAILED: {type(wrong).__name__}: {wrong}"
        click.echo(f"{name:32} {time.monotonic() - begun_s:5.0f} s  {said}")
    date = datetime.now(UTC).date().isoformat()
    return Checked(bench.place.label, sound.driver(), torch.__version__, date, rows, failed)


def added(earlier: list[Checked], found: Checked) -> list[Checked]:
    """The entries, with what was found now. What was found before stays unless it was checked again, on the same GPU by
    the same driver and torch."""

    def same(entry: Checked) -> bool:
        return (entry.gpu, entry.driver, entry.torch) == (found.gpu, found.driver, found.torch)

    def kept(old: dict[str, str]) -> dict[str, str]:
        return {name: said for name, said in old.items() if name not in found.rows and name not in found.failed}

    for entry in filter(same, earlier):
        rows, failed = kept(entry.rows) | found.rows, kept(entry.failed) | found.failed
        found = msgspec.structs.replace(found, rows=rows, failed=failed)
    return [*(entry for entry in earlier if not same(entry)), found]


if __name__ == "__main__":
    same_as_workers()
    main()
