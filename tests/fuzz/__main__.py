"""The long form: `python -m tests.fuzz --rounds 20 --seed 1`. Ends with 1 if a command took something badly."""

import random
import sys
import tempfile
from pathlib import Path

import click

from tests.fuzz.files import damaged_lines, kinds
from tests.fuzz.options import command_lines
from tests.fuzz.seeds import recording, watched_folder
from tests.fuzz.tried import tried


@click.command()
@click.option("--rounds", default=20, show_default=True, help="How often each file is damaged in each way.")
@click.option("--seed", default=0, show_default=True)
def main(rounds: int, seed: int) -> None:
    bad = 0

    def take(what: str, line: tuple[str, ...]) -> None:
        nonlocal bad
        if wrong := tried(line):
            bad += 1
            click.echo(f"{what}: {' '.join(line)[:300]!r}\n{wrong}\n")

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = list(command_lines(folder, recording(folder), watched_folder(folder)))
        click.echo(f"{len(lines)} command lines with a bad value ...")
        for line in lines:
            take("option", line)
        for number in range(rounds):
            for kind in kinds(folder):
                for damage, line in damaged_lines(folder, kind, random.Random(f"{seed} {number} {kind.name}")):
                    take(f"{kind.name}, {damage}, round {number}", line)
            click.echo(f"files: round {number + 1} of {rounds}")
    click.echo(f"{bad} were taken badly.")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
