"""`split-kitchen`: the engine's commands, and `lab`, which needs a browser."""

import os
import socket
import sys
from pathlib import Path

import click

from engine.cli import cli, run_cli
from engine.commands.bench import bench
from engine.errors import BadInput
from engine.scenario import whole
from lab.bench.all_benches import all_command
from lab.bench.classroom import class_command
from lab.bench.page import page_command
from lab.bench.soak import soak_command
from lab.ui.streamlit_options import flags
from lab.web.settings import Settings

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
@click.option("--open/--no-open", "open_browser", default=True, help="Open the page in a browser here.")
def lab(port: int, host: str, open_browser: bool) -> None:
    """Open the lab: a kitchen in the browser, on the real engine."""
    whole("port", port, 1, 65535)
    _can_listen(host)
    Settings.of_environment().checked()  # refused here, where it is one sentence
    app = str(Path(__file__).with_name("app.py"))
    click.echo(f"  Split Kitchen: {address(host, port)}", err=True)
    command = [sys.executable, "-P", "-m", "streamlit", "run", app]  # -P: no module of the folder it is started in
    os.execv(sys.executable, command + flags(port=port, address=host, headless=not open_browser))


def _can_listen(host: str) -> None:
    """Raises BadInput; whether the port is free, the server finds out by itself."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family):
            pass
    except (OSError, ValueError, TypeError) as why:  # the last two: a name that is none
        raise BadInput("host", host, "an address of this machine, as 127.0.0.1 or 0.0.0.0") from why


def address(host: str, port: int) -> str:
    """Where a browser on this machine finds a lab that listens there."""
    here = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://{f'[{here}]' if ':' in here else here}:{port}"


bench.add_command(page_command, "page")
bench.add_command(class_command, "class")
bench.add_command(soak_command, "soak")
bench.add_command(all_command, "all")


def main() -> None:
    """`split-kitchen`."""
    sys.exit(run_cli(cli))
