"""One command line, tried in this process, and what may come of it."""

import io
import os
import signal
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from unittest.mock import patch

from engine.cli import run_cli
from lab.web.cli import cli

MOST_S = 10
MOST_LETTERS = 1500  # in a sentence: a value of a megabyte is not repeated

# Where a command has accepted its input and begins what takes time. What the simulator does is quick, and is done.
STARTS = (
    "engine.live.process.run.Front",
    "engine.live.process.join_server.join",
    "engine.live.process.hosts_link.measure",
    "engine.live.process.hosts_link.serve",
    "engine.live.machine.doctor.examine",
    "engine.client.run.Endpoint",
    "engine.vllm.run.run_vllm",
    "engine.commands.advise.advised",
    "engine.commands.bench.run_s",
    "engine.bench.compute.measure",
    "engine.bench.guard.measure",
    "engine.bench.handoff.measure",
    "engine.bench.start.measure",
    "engine.bench.growth.measure",
    "lab.bench.all_benches._findings",
    "lab.bench.class_bench.measure",
    "lab.bench.page.measure",
    "lab.bench.soak.measure",
    "os.execv",
)


class Started(BaseException):
    """The input was accepted."""


class TookTooLong(BaseException):
    pass


def tried(arguments: Sequence[str]) -> str:
    """What is wrong with how the command took it; "" if it accepted it, or refused it as it should."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) for _ in range(2))
    try:
        with nothing_starts(), at_most(MOST_S), redirect_stdout(out), redirect_stderr(err):
            code = run_cli(cli, arguments)
    except Started:
        return ""
    except TookTooLong:
        return f"took more than {MOST_S} s"
    except BaseException:
        return traceback.format_exc()
    said = err.buffer.getvalue().decode().strip()
    if code == 0 or (code == 1 and out.buffer.getvalue()):  # done; or, of a run of before, that a request failed
        return "" if "Traceback" not in said else said
    lines = [line for line in said.splitlines() if not line.startswith("\r")]
    if code != 2:
        return f"exit code {code}: {said}"
    if len(lines) != 1 or not lines[0].endswith(".") or len(lines[0]) > MOST_LETTERS:
        return f"not one sentence: {said[:3000]!r}"
    return ""


@contextmanager
def nothing_starts() -> Iterator[None]:
    def start(*_: object, **__: object) -> None:
        raise Started

    with ExitStack() as stack:
        for name in STARTS:
            stack.enter_context(patch(name, start))
        data = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(chdir(data))  # "nan" is a good name for a file: where somebody works, it would stay
        key = {"SPLIT_KITCHEN_KEY": "a key of sixteen letters and more", "SPLIT_KITCHEN_DATA": data}
        stack.enter_context(patch.dict(os.environ, key))
        yield


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
