"""`split-kitchen`: the engine's commands, and `lab`, which needs a browser."""

import os
import sys
from pathlib import Path

import click

from engine.cli import cli, run_cli
from engine.commands.bench import bench
from engine.scenario import whole
from lab.bench.all_benches import all_command
from lab.bench.classroom import class_command
from lab.bench.page import page_command
from lab.bench.soak import soak_command

__all__ = ["cli", "main"]


@cli.command()
@click.option("--port", type=int, default=8501, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--open/--no-open", "open_browser", default=True, help="Open the page in a browser here.")
def lab(port: int, host: str, open_browser: bool) -> None:
    """Open the lab: a kitchen in the browser, on the real engine."""
    whole("port", port, 1, 65535)
    app = Path(__file__).with_name("app.py")
    options = {"server.port": port, "server.address": host, "server.headless": str(not open_browser).lower()}
    os.chdir(app.parents[2])  # where .streamlit/config.toml lies
    arguments = [sys.executable, "-m", "streamlit", "run", str(app)]
    os.execv(sys.executable, arguments + [f"--{name}={value}" for name, value in options.items()])


bench.add_command(page_command, "page")
bench.add_command(class_command, "class")
bench.add_command(soak_command, "soak")
bench.add_command(all_command, "all")


def main() -> None:
    sys.exit(run_cli(cli))
