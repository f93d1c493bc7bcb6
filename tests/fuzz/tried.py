"""One command line, tried in this process, and what may come of it."""

import io
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

from engine.cli import run_cli
from engine.errors import BadInput
from lab.web.cli import cli
from tests.patience import PATIENCE_S

MOST_S = 10
MOST_LETTERS = 1500  # in a sentence: a value of a megabyte is not repeated

# Where a command has accepted its input and begins what takes time. What the simulator does is quick, and is done.
STARTS = (
    "engine.live.process.run.Front",
    "engine.live.process.join_server.join",
    "engine.live.process.hosts_link.measure",
    "engine.live.process.hosts_link.serve",
    "engine.live.machine.doctor.examine",
    "engine.vllm.run.VllmFront",
    "engine.commands.advise.advised",
    "engine.commands.bench.run_s",
    "engine.bench.compute.measure",
    "engine.bench.guard.measure",
    "engine.bench.handoff.measure",
    "engine.bench.start.measure",
    "engine.bench.growth.measure",
    "engine.bench.inside.vllm_cpu",
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


class Outcome(NamedTuple):
    """`wrong`: how the command took it badly; "" if it accepted the input, or refused it as it should."""

    wrong: str = ""
    accepted: bool = False


def tried(arguments: Sequence[str]) -> Outcome:
    """A command line, up to where a command has accepted its input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) for _ in range(2))
    try:
        with nothing_starts(), at_most(MOST_S), redirect_stdout(out), redirect_stderr(err):
            code = run_cli(cli, arguments)
    except Started:
        return Outcome(accepted=True)
    except TookTooLong:
        return Outcome(f"took more than {MOST_S} s")
    except BaseException:
        return Outcome(traceback.format_exc())
    said = err.buffer.getvalue().decode().strip()
    if code == 0 or (code == 1 and out.buffer.getvalue()):  # done; or, of a run of before, that a request failed
        return Outcome("" if "Traceback" not in said else said, accepted=True)
    lines = [line for line in said.splitlines() if not line.startswith("\r")]
    if code != 2 and not (code == 1 and "the rule: " in said):  # a policy that somebody wrote breaks one
        return Outcome(f"exit code {code}: {said}")
    return Outcome("" if _is_a_sentence(lines) else f"not one sentence: {said[:3000]!r}")


def tried_call(read: Callable[[], None]) -> str:
    """What is wrong with how a function took what it reads: it may raise BadInput, with one sentence."""
    try:
        with at_most(MOST_S), patch("sys.stderr", io.StringIO()):
            read()
    except BadInput as refused:
        return "" if _is_a_sentence(str(refused).splitlines()) else f"not one sentence: {str(refused)[:3000]!r}"
    except TookTooLong:
        return f"took more than {MOST_S} s"
    except BaseException:
        return traceback.format_exc()
    return ""


def _is_a_sentence(lines: Sequence[str]) -> bool:
    return len(lines) == 1 and lines[0].endswith(".") and len(lines[0]) <= MOST_LETTERS


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
    """Of this process's own CPU time, which does not depend on who else computes here; or far longer without an end,
    as at a pipe that nobody writes to."""

    def ring(*_: object) -> None:
        raise TookTooLong

    clocks = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    before = {number: signal.signal(number, ring) for number in clocks}
    for number, clock in clocks.items():
        signal.setitimer(clock, seconds if number == signal.SIGPROF else PATIENCE_S)
    try:
        yield
    finally:
        for number, clock in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(number, before[number])
