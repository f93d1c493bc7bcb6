"""The options that describe a run, and the scenario they describe."""

import functools
from collections.abc import Callable, Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from engine import units
from engine.errors import BadInput
from engine.files import contents
from engine.link import LinkSpec
from engine.own_file import OwnFile
from engine.request import Sampling
from engine.scenario import (
    ARRIVALS,
    DTYPES,
    MAX_WORKERS,
    SHIPPING,
    TRANSPORTS,
    Deployment,
    ModelSpec,
    Scenario,
    Workload,
    whole,
)

MOST_BYTES = 64_000_000  # of prompts
MOST_LETTERS = 1_000_000  # of one: no context is longer, and a tokenizer cannot be interrupted
Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


def scenario_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that describe a run, as `run`, `compare` and their relatives take them."""
    options = [
        click.option("--workers", type=int, help="Workers in all; with P and D given, their sum.  [default: 2]"),
        click.option("--prefill-workers", type=int, help="Prefill workers when disaggregated.  [default: 1]"),
        click.option("--decode-workers", type=int, help="Decode workers when disaggregated.  [default: the others]"),
        click.option("--prompt-tokens", type=int, default=256, show_default=True),
        click.option("--output-tokens", type=int, default=32, show_default=True, help="At most; an answer may end."),
        click.option("--requests", type=int, default=8, show_default=True),
        click.option("--rate", default="inf", show_default=True, help="Requests/s, Poisson; inf: all at once."),
        click.option("--arrivals", default="poisson", show_default=True, help=f"One of {', '.join(ARRIVALS)}."),
        click.option("--burstiness", type=float, default=1.0, help="Of gamma arrivals: coefficient of variation."),
        click.option("--burst", default="10s", show_default=True, help="Of onoff arrivals: how long each burst is."),
        click.option("--users", type=int, default=0, help="Closed loop: so many, each waiting for their answer."),
        click.option("--long-prompt-tokens", type=int, default=0, help="Length of the few long prompts, if any."),
        click.option("--long-every", type=int, default=0, help="Which requests are long: every so many-th."),
        click.option("--link", default="none", show_default=True, help="Bandwidth as 100MB/s; none: unpaced."),
        click.option("--latency", default="0s", show_default=True, help="Of the link, as 1ms."),
        click.option("--transport", default="shm", show_default=True, help=f"One of {', '.join(TRANSPORTS)}."),
        click.option("--ship", default="whole", show_default=True, help=f"One of {', '.join(SHIPPING)}."),
        click.option("--first-token", default="prefill", show_default=True, help="Who samples it: prefill or decode."),
        click.option(
            "--local-prefill-tokens", type=int, default=0, help="Up to so many, a prompt is prefilled where it decodes."
        ),
        click.option("--chunk", type=int, default=256, show_default=True, help="Token budget of a chunked step."),
        click.option("--dtype", default="auto", show_default=True, help=f"One of {', '.join(DTYPES)}."),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, or GPUs as cuda:0,cuda:1."),
        click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id."),
        click.option(
            "--kv-blocks",
            type=int,
            default=0,
            help="Blocks of 16 tokens per worker.  [default: 2048; on GPUs, all that fit]",
        ),
        click.option("--temperature", type=float, default=0.0, show_default=True, help="0 is greedy."),
        click.option("--top-p", type=float, default=1.0, show_default=True),
        click.option("--ignore-eos", is_flag=True, help="Always make all output tokens."),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--prompts", type=click.Path(path_type=Path), help="A prompt a line, used in turn."),
        click.option("--listen", help="HOST:PORT where the workers join, instead of starting them here."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else."),
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


def policy_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --policy."""
    says = "A Python file of yours that defines `policy`, `ships` or both: docs/own-policy.md"
    return click.option("--policy", type=click.Path(path_type=Path), help=says)(command)


def kind_asked(context: click.Context, policy: Path | None) -> tuple[str, OwnFile | None]:
    """The kind of deployment, and the file that decides it, if there is one. Raises BadInput where both are given and
    do not agree."""
    asked: str = context.params["deployment"]
    if policy is None:
        return asked, None
    own = OwnFile.read(policy)
    if context.get_parameter_source("deployment") is not ParameterSource.DEFAULT and asked != own.kind:
        defines = "`ships`" if own.has_split else "`policy` only"
        raise BadInput("deployment", asked, f"{own.kind}, or left out: {own.name} defines {defines}")
    return own.kind, own


def without(names: Iterable[str]) -> Callable[[Wrapped], Wrapped]:
    """For a command that has no use for some of those options: they are neither taken nor shown."""

    def drop(command: Wrapped) -> Wrapped:
        kept = [option for option in getattr(command, "__click_params__", []) if option.name not in names]
        command.__click_params__ = kept  # type: ignore[attr-defined]  # where click's decorators put them
        return command

    return drop


def described(
    kind: str,
    *,
    workers: int | None,
    prefill_workers: int | None,
    decode_workers: int | None,
    link: str,
    latency: str,
    transport: str,
    ship: str,
    first_token: str,
    chunk: int,
    local_prefill_tokens: int,
    dtype: str,
    model: str,
    kv_blocks: int,
    device: str,
    prompts: Path | None,
    listen: str | None,
    most_workers: int = MAX_WORKERS,
    **workload: Any,
) -> tuple[Scenario, list[str], tuple[str, int] | None]:
    """The scenario that the options describe, the prompts' words, and where workers join. Raises BadInput."""
    prefill, total = _counts(workers, prefill_workers, decode_workers, most_workers)
    load = _workload(**workload)
    scenario = Scenario(
        # unchecked words are let in here; `checked` names those that are not allowed
        Deployment(kind, total, prefill, chunk, transport, ship, first_token, local_prefill_tokens),  # type: ignore[arg-type]
        LinkSpec(units.bytes_per_s("link", link), units.seconds("latency", latency)),
        load,
        ModelSpec(model, dtype, kv_blocks, device),  # type: ignore[arg-type]
    ).checked(most_workers)
    words = list(islice(cycle(_lines(prompts)), load.requests)) if prompts is not None else []
    return scenario, words, units.host_and_port("listen", listen) if listen else None


def _counts(workers: int | None, prefill: int | None, decode: int | None, most: int) -> tuple[int, int]:
    """(prefill workers, workers), from as many of the three numbers as were given."""
    for field, value in (("workers", workers), ("prefill workers", prefill), ("decode workers", decode)):
        if value is not None:
            whole(field, value, 1, most)
    if prefill is None:
        prefill = workers - decode if workers is not None and decode is not None else 1
    total = workers if workers is not None else prefill + (decode or 1)
    if decode is not None and prefill + decode != total:
        raise BadInput("workers", total, f"{prefill + decode}, the prefill and decode workers together")
    return prefill, total


def _workload(rate: str, burst: str, temperature: float, top_p: float, **rest: Any) -> Workload:
    if not 0 <= temperature <= 2:
        raise BadInput("temperature", temperature, "from 0 (greedy) to 2")
    if not 0 < top_p <= 1:
        raise BadInput("top p", top_p, "above 0, at most 1")
    return Workload(
        rate_per_s=units.rate_per_s("rate", rate),
        burst_s=units.seconds("burst", burst),
        sampling=Sampling(temperature, top_p),
        **rest,
    )


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in contents(file, MOST_BYTES).decode().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput("prompts", str(file), "a text file with a prompt a line") from wrong
    if not lines:
        raise BadInput("prompts", str(file), "a text file with at least one prompt")
    if (longest := max(map(len, lines))) > MOST_LETTERS:
        raise BadInput("prompts", f"a file with a line of {longest:,} letters", f"of lines of at most {MOST_LETTERS:,}")
    return lines
