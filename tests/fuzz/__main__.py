"""The long form: `python -m tests.fuzz --rounds 20 --seed 1`. Ends with 1 if a command took something badly.

It goes on where it was interrupted: what a round needs is in its number and the seed (`--first 7`).
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from tests.fuzz.kinds import attempts, kinds
from tests.fuzz.options import command_lines, good_things
from tests.fuzz.tried import tried

SLOW_EVERY = 5  # rounds: what takes a process of seconds is damaged in fewer of them


@click.command()
@click.option("--rounds", default=20, show_default=True, help="How often each file is damaged in each way.")
@click.option("--first", default=1, show_default=True, help="The first round; above 1, options are not tried again.")
@click.option("--seed", default=0, show_default=True)
def main(rounds: int, first: int, seed: int) -> None:
    bad = tries = 0

    def take(what: str, attempt: Callable[[], str]) -> None:
        nonlocal bad, tries
        tries += 1
        if wrong := attempt():
            bad += 1
            click.echo(f"{what[:300]!r}\n{wrong}\n")

    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if first == 1:
            with good_things(folder) as good:
                lines = list(command_lines(folder, good))
                click.echo(f"{len(lines)} command lines with a bad value ...")
                for line in lines:
                    take(" ".join(line), lambda line=line: tried(line).wrong)  # type: ignore[misc]
        for number in range(first, rounds + 1):
            for kind in kinds(folder, slow=number % SLOW_EVERY == 1):
                for what, attempt in attempts(folder, kind, random.Random(f"{seed} {number} {kind.name}")):
                    take(f"round {number}, {kind.name}, {what}", attempt)
            click.echo(f"files: round {number} of {rounds}, {tries} tries, {time.monotonic() - began_s:.0f} s")
    click.echo(f"{tries} tries; {bad} were taken badly.")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
