"""How a worker's end is told from its silence, and in which words."""

import subprocess
import sys
from multiprocessing.connection import Pipe

import pytest

from engine.errors import WorkerFailed
from engine.link import LinkSpec
from engine.live.process.front import Front
from engine.live.process.seat import KILLED, LOOKS, LOOKS_BEFORE_READY, Seat
from engine.messages import Ready
from engine.scenario import Deployment, ModelSpec

READY = Ready(1, 8, 16, 64, 128, "float32", {})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", KILLED),
        ("import os; os.kill(os.getpid(), 11)", "its process was ended by signal 11"),
        ("raise SystemExit(3)", "its process ended with exit code 3"),
    ],
)
def test_how_it_ended_is_said(code: str, said: str) -> None:
    seat = Seat("worker-0", 0, process=subprocess.Popen([sys.executable, "-S", "-c", code]))
    assert seat.process is not None
    seat.process.wait()
    assert seat.ending() == said


def test_one_from_elsewhere_has_only_a_connection() -> None:
    assert Seat("worker-0", 0).ending() == "its connection ended"


@pytest.mark.parametrize(("ready", "most"), [(READY, LOOKS), (None, LOOKS_BEFORE_READY)])
def test_it_hangs_after_so_many_looks_and_not_before(ready: Ready | None, most: int) -> None:
    ours, theirs = Pipe()
    seat = Seat("worker-0", 0, ready=ready)
    seat.take(ours)
    seat.unanswered = most
    assert seat.hung == ""
    seat.unanswered += 1
    assert seat.hung
    assert Seat("worker-0", 0, unanswered=10**6).hung == "", "nobody sits there"
    theirs.close()


def test_workers_that_are_killed_before_they_are_ready_end_the_engine_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(seat: Seat, key: bytes) -> None:
        ours, theirs = Pipe()
        seat.process = subprocess.Popen(["sh", "-c", "kill -9 $$"], pass_fds=[theirs.fileno()])
        theirs.close()
        seat.take(ours)

    monkeypatch.setattr(Seat, "start_process", start)
    model = ModelSpec("tiny-llama", "fp32")
    with (
        Front(Deployment(), LinkSpec(), model) as front,
        pytest.raises(WorkerFailed, match=r"died 3 times.*was killed; Linux does that when memory runs out\."),
    ):
        front.start()
