"""Every option and argument of every command, with values that nobody should give it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from lab.web.cli import cli
from tests.click_groups import commands
from tests.engine.client.openai_like import openai_like
from tests.engine.vllm.stand_in import FAKE, python_with
from tests.fuzz.seeds import docs_folder, model_folder, recording, watched_folder
from tests.lab.conftest import free_port

TINY = ("--model", "tiny-llama", "--requests", "2", "--prompt-tokens", "16", "--output-tokens", "2")
OF_ENDPOINT = (
    "endpoint",
    "served_model",
    "api",
    "extra_body",
    "rate",
    "users",
    "seed",
    "temperature",
    "top_p",
    "prompts",
)
OF_VLLM = ("vllm_python", "link", "latency", "model", "dtype", "kv_blocks", "local_prefill_tokens", "listen", "device")


class Base(NamedTuple):
    """`words`: what makes a command quick, and what it cannot do without. `only`: the options that another base leaves
    without a meaning; () for all."""

    words: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


BASES: dict[str, tuple[Base, ...]] = {
    "run": (
        Base(TINY),
        Base(("--endpoint", "{server}", *TINY), OF_ENDPOINT),
        Base(("--engine", "vllm", "--vllm-python", "{vllm}", *TINY), OF_VLLM),
    ),
    "compare": (Base(TINY), Base(("--engine", "vllm", "--vllm-python", "{vllm}", *TINY), OF_VLLM)),
    "simulate": (
        Base(("--gpu", "h100-sxm", "--model", "llama-3.1-8b", *TINY[2:])),
        Base(("--cost", "{log}", *TINY)),
        Base(("--cost", "{log}", *TINY, "--rate", "2", "--arrivals", "onoff"), ("burst", "rate")),
        Base(("--cost", "{log}", *TINY, "--rate", "2", "--arrivals", "gamma"), ("burstiness", "rate")),
        Base(
            ("--cost", "{log}", *TINY, "--planner", "load", "--sharing", "fair", "--fabric", "1GB/s"),
            ("planner", "most_workers", "sharing", "fabric", "ttft_slo", "tpot_slo"),
        ),
    ),
    "reality": (Base(TINY), Base(("--from", "{log}", "--against", "{log}"), ("calibration", "lived", "kinds"))),
    "lab": (Base(("--port", "{port}")),),
    "model": (Base(("llama-3.1-8b",)),),
    "watch": (Base(("{watched}",)),),
    "worker": (Base(("--join", "127.0.0.1:7000")),),
    "doctor": (Base(("--model", "tiny-llama")), Base(("--serve-link", "7000"), ("port",))),
    "bench inside": (Base(("--vllm-python", "{vllm}")),),
    "bench all": (Base(("--docs", "{docs}", "--only", "soak")),),
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


class Good(NamedTuple):
    """What stands in a base's braces: files and folders that are there, a server that answers, vLLM's Python."""

    log: Path
    watched: Path
    docs: Path
    server: str
    vllm: str
    port: int  # that nobody has


@contextmanager
def good_things(folder: Path) -> Iterator[Good]:
    with openai_like() as server:
        vllm = python_with(FAKE, folder)
        model_folder(folder)  # made now, if it never was: that takes a process
        yield Good(recording(folder), watched_folder(folder), docs_folder(folder), server.url, vllm, free_port())


def bases(name: str, good: Good) -> Iterator[Base]:
    """Of a command, each with its braces filled."""
    for base in BASES.get(name, (Base(),)):
        yield Base(tuple(word.format(**good._asdict()) for word in base.words), base.only)


def command_lines(folder: Path, good: Good, only: str = "") -> Iterator[tuple[str, ...]]:
    """Each option of each command with each bad value, beside what the command needs."""
    for path, command in leaves(cli):
        name = " ".join(path)
        if only and name != only:
            continue
        for base in bases(name, good):
            for parameter in command.params:
                if getattr(parameter, "is_flag", False) or (base.only and parameter.name not in base.only):
                    continue
                for value in bad_values(folder):
                    if isinstance(parameter, click.Argument):
                        yield *path, "--", value
                    else:
                        yield *path, *base.words, f"{parameter.opts[0]}={value}"


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in commands(group).items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command
