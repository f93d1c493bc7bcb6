"""Simulations in processes of their own: the same results in the same order, and nothing that outlives its parent."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.advisor import advise
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.side_by_side import side_by_side
from tests.patience import comes

linux = pytest.mark.skipif(sys.platform != "linux", reason="forks only on Linux")
IMPORTS = "import json, os, sys\nfrom engine.fleet.advisor.side_by_side import side_by_side\n"
NAMED = """
def named(n):
    return n, os.getpid()

with side_by_side(named, range(5), 2) as results:
    print(json.dumps([os.getpid(), *results]))
"""
BUSY = """
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job, as a test may be, ignores it


def busy(n):
    open(sys.argv[1] + f"/{os.getpid()}", "w").close()
    while True:
        sum(range(1000))

with side_by_side(busy, range(2), 2) as results:
    next(results)
"""
GIVEN_UP = """
import time

def busy(n):
    open(sys.argv[1] + f"/{os.getpid()}", "w").close()
    while True:
        sum(range(1000))

try:
    with side_by_side(busy, range(2), 2) as results:
        while len(os.listdir(sys.argv[1])) < 2:
            time.sleep(0.01)
        raise KeyError
except KeyError:
    print("given up")
"""


def in_its_own_process(code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", IMPORTS + code, *args], stdout=subprocess.PIPE, text=True)


@linux
def test_results_come_in_order_and_from_other_processes() -> None:
    said, _ = in_its_own_process(NAMED).communicate()
    parent, *pairs = json.loads(said)
    assert [n for n, _ in pairs] == list(range(5))
    assert parent not in {pid for _, pid in pairs}


@linux
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_helpers_end_with_their_parent_however_it_ends(signal_number: int, tmp_path: Path) -> None:
    parent = in_its_own_process(BUSY, str(tmp_path))
    try:
        assert comes(lambda: len(list(tmp_path.iterdir())) == 2)
        parent.send_signal(signal_number)
        parent.wait()
        assert comes(lambda: not any(Path(f"/proc/{file.name}").exists() for file in tmp_path.iterdir()))
    finally:
        for pid in (parent.pid, *(int(file.name) for file in tmp_path.iterdir())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.communicate()


def test_a_process_with_threads_is_not_copied() -> None:
    rest = threading.Event()
    other = threading.Thread(target=rest.wait)
    other.start()
    try:
        with side_by_side(lambda n: os.getpid(), range(3), 3) as results:
            assert list(results) == [os.getpid()] * 3
    finally:
        rest.set()
        other.join()


@linux
def test_an_exception_in_between_ends_the_helpers(tmp_path: Path) -> None:
    said, _ = in_its_own_process(GIVEN_UP, str(tmp_path)).communicate()
    assert said == "given up\n"
    assert not any(Path(f"/proc/{file.name}").exists() for file in tmp_path.iterdir())


def test_advice_is_the_same_side_by_side() -> None:
    question = Question(gpus=2, gpu="h100-sxm", model="llama-3.1-8b")
    code = (
        "import msgspec, sys\nfrom engine.fleet.advisor.advisor import advise\n"
        "from engine.fleet.advisor.question import Question\n"
        "question = msgspec.json.decode(sys.argv[1], type=Question)\n"
        "print(msgspec.json.encode(advise(question, at_once=2)).decode())"
    )
    said, _ = in_its_own_process(code, msgspec.json.encode(question).decode()).communicate()
    assert msgspec.json.decode(said, type=Advice) == advise(question)
