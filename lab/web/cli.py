"""`split-kitchen`: the engine's commands, and `lab`, which needs a browser."""

import errno
import os
import socket
import sys
from pathlib import Path

import click

from engine.cli import cli, run_cli
from engine.commands.bench import bench
from engine.commands.inside import ENGINES, VARIABLE
from engine.commands.own_process import own_process
from engine.errors import BadInput
from engine.scenario import whole
from lab.ui.streamlit_options import flags

__all__ = ["cli", "main"]


@cli.command()
@click.option("--port", type=int, default=8501, show_default=True, envvar="STREAMLIT_SERVER_PORT", show_envvar=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="STREAMLIT_SERVER_ADDRESS",
    show_envvar=True,
    help="Address to listen on.",
)
@click.option(
    "--base-path",
    default="",
    envvar="STREAMLIT_SERVER_BASE_URL_PATH",
    show_envvar=True,
    help="Below which path of its address browsers find it, as kitchen.",
)
@click.option("--engine", default=ENGINES[0], show_default=True, envvar="SPLIT_KITCHEN_ENGINE", help="Or vllm.")
@click.option("--vllm-python", envvar=VARIABLE, show_envvar=True, help="The Python of an environment with vLLM.")
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    envvar="SPLIT_KITCHEN_DEVICE",
    show_envvar=True,
    help="Where workers compute: cpu, cuda, or GPUs as cuda:0,cuda:1.",
)
@click.option("--open/--no-open", "open_browser", default=True, help="Open the page in a browser here.")
def lab(
    port: int, host: str, base_path: str, engine: str, vllm_python: str | None, device: str, open_browser: bool
) -> None:
    """Open the lab: a kitchen in the browser, on the real engine."""
    from lab.web.settings import Settings  # with it comes Streamlit, for which no other command waits

    whole("port", port, 1, 65535)
    # the lab is another program, which reads its settings there
    os.environ |= {"SPLIT_KITCHEN_ENGINE": engine, "SPLIT_KITCHEN_DEVICE": device}
    if vllm_python:
        os.environ[VARIABLE] = vllm_python
    Settings.of_environment().checked()  # refused here, where it is one sentence
    app = str(Path(__file__).with_name("app.py"))
    can_listen(host, port)
    click.echo(f"  Split Kitchen: {address(host, port, base_path)}", err=True)
    command = [sys.executable, "-P", "-m", "streamlit", "run", app]  # -P: no module of the folder it is started in
    os.execv(sys.executable, command + flags(port=port, address=host, baseUrlPath=base_path, headless=not open_browser))


def can_listen(host: str, port: int) -> None:
    """Raises BadInput for an address that is not this machine's, or a port that cannot be had."""
    try:
        kind, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except (OSError, UnicodeError) as why:
        said = why.strerror if isinstance(why, OSError) and why.strerror else str(why)
        if isinstance(why, OSError) and why.errno in (errno.EADDRINUSE, errno.EACCES):
            raise BadInput("port", port, f"one that is free and allowed on {host} ({said})") from why
        raise BadInput("host", host, f"an address of this machine, as 127.0.0.1 or 0.0.0.0 ({said})") from why


def address(host: str, port: int, base_path: str = "") -> str:
    """Where a browser on this machine finds a lab that listens there."""
    here = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    below = f"/{base_path.strip('/')}/" if base_path.strip("/") else ""
    return f"http://{f'[{here}]' if ':' in here else here}:{port}{below}"


for name, place in (
    ("page", "lab.bench.page:page_command"),
    ("class", "lab.bench.class_bench:class_command"),
    ("soak", "lab.bench.soak:soak_command"),
    ("all", "lab.bench.all_benches:all_command"),
):
    bench.add_lazily(name, place)


def main() -> None:
    """`split-kitchen`."""
    sys.exit(own_process(sys.argv[1:], lambda: run_cli(cli)))
