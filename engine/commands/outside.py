"""`run --endpoint`: send the workload to your own server, and say what its client can and cannot see."""

import textwrap
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from engine.client.apis import APIS, KEY_VARIABLE
from engine.client.summary import sentences
from engine.errors import BadInput
from engine.events import Failed
from engine.log import Log, seen_from_outside
from engine.options import described

NOT_MINE = (  # options about the serving side
    *("deployment", "workers", "prefill_workers", "decode_workers", "link", "latency", "transport", "ship"),
    *("first_token", "local_prefill_tokens", "chunk", "dtype", "kv_blocks", "device", "listen", "policy"),
)


def endpoint_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --endpoint, --served-model and --api."""
    """Add --endpoint, --served-model and --api."""
    for option in (
        click.option("--extra-body", default="", help="Of each request to the endpoint: JSON; null leaves one out."),
        click.option("--api", default="chat", show_default=True, help=f"The endpoint's API: {' or '.join(APIS)}."),
        click.option("--served-model", default="", help="The endpoint's name for the model.  [default: its only one]"),
        click.option(
            "--endpoint", help=f"Send it to this OpenAI-compatible server instead; its key, if any, in {KEY_VARIABLE}."
        ),
    ):
        command = option(command)
    return command


def sent(
    context: click.Context, endpoint: str, served_model: str, api: str, extra_body: str, options: dict[str, Any]
) -> Log:
    """The log of the workload against `endpoint`; the tokenizer of `--model` makes the prompts. Raises BadInput."""
    from engine.client.run import run_outside  # its HTTP client takes time to import, which only this needs

    for name in NOT_MINE:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            allowed = "left out with --endpoint: a client cannot choose how that server is deployed"
            raise BadInput(name.replace("_", " "), context.params[name], allowed)
    scenario, prompts, _ = described("colocated", **options)
    return run_outside(scenario, endpoint, served_model=served_model, api=api, prompts=prompts, extra_body=extra_body)


def told(log: Log) -> None:
    """Print what a client's log can and cannot say. Prints nothing for one of the engine's own logs."""
    outside = seen_from_outside(log)
    if outside is None:
        return
    for line in (*sentences(log), *(f"{e.request}: {e.why}" for e in log.events if isinstance(e, Failed))):
        click.echo(textwrap.fill(line, 110))
