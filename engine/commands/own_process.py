"""A command with somebody's own policy runs in a process of its own: whatever that code does to it, one can say so."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from engine.own_limits import may_end
from engine.own_policy import ended

OVER = b"."  # said by a command that has come to its own end
OPTION = "--policy"
PRESSES = 3  # of Ctrl-C: the command itself hears the first two (engine/live/process/interrupt.py)
INTERRUPTED = 130


def policy_in(arguments: Sequence[str]) -> str:
    """The name of the policy's file on a command line; "" without one."""
    for before, after in zip(arguments, [*arguments[1:], ""], strict=True):
        if before == OPTION or before.startswith(f"{OPTION}="):
            return Path(after if before == OPTION else before.partition("=")[2]).name
    return ""


def in_own_process(command: Callable[[], int], file: str) -> int:
    """The command's exit code; 1, and a sentence, if its process ends before the command does. `file`: the policy's."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        may_end()
        try:
            return command()
        finally:
            os.write(theirs, OVER)
    os.close(theirs)
    presses = 0

    def pressed(*_: object) -> None:
        nonlocal presses
        presses += 1
        if presses >= PRESSES:
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGINT, pressed)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    over = os.read(ours, len(OVER))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if over:
        return code
    if presses >= PRESSES:
        return INTERRUPTED
    if code == -signal.SIGTERM:
        return 128 + signal.SIGTERM
    click.echo(str(ended(file, "the command", how(code))), err=True)
    return 1


def how(code: int) -> str:
    """A process ended, as a part of a sentence. `code`: negative for a signal."""
    if code == -signal.SIGKILL:
        return "its process was killed, as Linux does when memory runs out"
    return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with exit code {code}"


def own_process(arguments: Sequence[str], command: Callable[[], int]) -> int:
    """Run the command here, or apart if it has a policy."""
    sys.stdout.flush()
    file = policy_in(arguments)
    return in_own_process(command, file) if file else command()
