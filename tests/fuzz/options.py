"""Every option and argument of every command, with values that nobody should give it."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from lab.web.cli import cli

TINY = ("--model", "tiny-llama", "--requests", "2", "--prompt-tokens", "16", "--output-tokens", "2")
# what makes each command quick, and what it cannot do without
BASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "run": (TINY,),
    "compare": (TINY,),
    "simulate": (
        ("--gpu", "h100-sxm", "--model", "llama-3.1-8b", *TINY[2:]),
        ("--cost", "{log}", *TINY),
        ("--cost", "{log}", *TINY, "--rate", "2", "--arrivals", "onoff"),
        ("--cost", "{log}", *TINY, "--rate", "2", "--arrivals", "gamma"),
    ),
    "reality": (TINY, ("--from", "{log}", "--against", "{log}")),
    "model": (("llama-3.1-8b",),),
    "watch": (("{watched}",),),
    "worker": (("--join", "127.0.0.1:7000"),),
}


def bad_values(folder: Path) -> list[str]:
    """Fifteen. `folder` holds the pipe that nobody writes to."""
    pipe = folder / "pipe"
    if not pipe.exists():
        os.mkfifo(pipe)
    return [
        "",
        " ",
        "nan",
        "-1",
        "0",
        "1e308",
        "1e-320",
        "9" * 400,
        "127.0.0.1:²",
        "non-\udcff-utf-8",  # as Python reads bytes that are not UTF-8
        "~nobody-here/file",
        "two\nlines.",
        "n" * 5000,
        "/dev/zero",
        str(pipe),
    ]


def command_lines(folder: Path, log: Path, watched: Path, only: str = "") -> Iterator[tuple[str, ...]]:
    """Each option of each command with each bad value, beside what the command needs."""
    for path, command in commands(cli):
        name = " ".join(path)
        if only and name != only:
            continue
        for base in BASES.get(name, ((),)):
            filled = tuple(word.format(log=log, watched=watched) for word in base)
            for parameter in command.params:
                for value in bad_values(folder) if not getattr(parameter, "is_flag", False) else ():
                    if isinstance(parameter, click.Argument):
                        yield *path, "--", value
                    else:
                        yield *path, *filled, f"{parameter.opts[0]}={value}"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command
