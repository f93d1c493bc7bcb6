"""`run` and `compare` with `--engine vllm`: the same workload on a real vLLM on this machine, seen from inside."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from engine.commands.watch import left_out
from engine.errors import BadInput
from engine.log import Log
from engine.options import described
from engine.scenario import one_of

VARIABLE = "SPLIT_KITCHEN_VLLM_PYTHON"
ENGINES = ("miniature", "vllm")


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --engine and --vllm-python."""
    for option in (
        click.option("--vllm-python", help=f"The Python of an environment with vLLM.  [default: {VARIABLE}]"),
        click.option("--engine", default="miniature", show_default=True, help=f"One of {', '.join(ENGINES)}."),
    ):
        command = option(command)
    return command


def on_vllm(kinds: Sequence[str], vllm_python: str | None, options: dict[str, Any]) -> list[Log]:
    """The logs of the workload on vLLM, one per kind of deployment; stderr says what they lack. Raises BadInput."""
    from engine.vllm.run import run_vllm

    python = vllm_python or os.environ.get(VARIABLE)
    if not python:
        raise BadInput("vllm python", "", f"given, or named by {VARIABLE}: an environment with vLLM (see: make vllm)")
    logs = []
    for kind in kinds:
        scenario, prompts, listen = described(kind, **options)
        if listen:
            raise BadInput("listen", options["listen"], "left out with --engine vllm")
        if scenario.model.device != "cpu":
            raise BadInput("device", scenario.model.device, "left out with --engine vllm")
        found = run_vllm(scenario, prompts, python=python, progress=lambda says: click.echo(says, err=True))
        for sentence in left_out(found):
            click.echo(sentence, err=True)
        logs.append(found.log)
    return logs


def checked_engine(engine: str) -> str:
    """The engine's name. Raises BadInput for any other."""
    one_of("engine", engine, ENGINES)
    return engine
