"""How a worker's end is told from its silence, and in which words."""

import os
import subprocess
import sys
import threading
from multiprocessing.connection import Pipe
from unittest.mock import Mock

import msgspec
import pytest
import torch

from engine.errors import WorkerFailed
from engine.link import LinkSpec
from engine.live.process import worker_process
from engine.live.process.front import Front
from engine.live.process.seat import EXHAUSTED, KILLED, LOOKS, LOOKS_BEFORE_READY, OUT_OF_MEMORY, Seat
from engine.messages import Ready, Start
from engine.scenario import Deployment, ModelSpec

READY = Ready(1, 8, 16, 64, 128, "float32", {})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", KILLED),
        ("import os; os.kill(os.getpid(), 11)", "its process was ended by signal 11"),
        ("raise SystemExit(3)", "its process ended with exit code 3"),
        (f"raise SystemExit({OUT_OF_MEMORY})", EXHAUSTED),
    ],
)
def test_how_it_ended_is_said(code: str, said: str) -> None:
    seat = Seat("worker-0", 0, process=subprocess.Popen([sys.executable, "-S", "-c", code]))
    assert seat.process is not None
    seat.process.wait()
    assert seat.ending() == said


def test_one_from_elsewhere_has_only_a_connection() -> None:
    assert Seat("worker-0", 0).ending() == "its connection ended"


@pytest.mark.parametrize(
    ("ready", "place", "most"),
    [
        (READY, "cpu", LOOKS),
        (READY, "cuda:0", LOOKS),
        (None, "cpu", LOOKS_BEFORE_READY),
        (None, "cuda:0", 2 * LOOKS_BEFORE_READY),
    ],
)
def test_it_hangs_after_so_many_looks_and_not_before(ready: Ready | None, place: str, most: int) -> None:
    ours, theirs = Pipe()
    seat = Seat("worker-0", 0, place, ready=ready)
    seat.take(ours)
    seat.unanswered = most
    assert seat.hung == ""
    seat.unanswered += 1
    assert seat.hung
    assert Seat("worker-0", 0, unanswered=10**6).hung == "", "nobody sits there"
    theirs.close()


@pytest.mark.parametrize("failed", [torch.OutOfMemoryError("CUDA out of memory.\nAnd much more."), MemoryError()])
def test_a_worker_without_memory_ends_with_one_sentence_and_a_code(
    failed: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exits(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(worker_process, "WorkerProcess", Mock(side_effect=failed))
    monkeypatch.setattr(worker_process, "pin_to", Mock())
    monkeypatch.setattr(os, "_exit", exits)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    ours, theirs = Pipe()
    start = Start("worker-1", ModelSpec("tiny-llama"), 0.0, ("shm",), -1, "cuda:0")
    ours.send_bytes(msgspec.msgpack.encode(start))
    with pytest.raises(SystemExit) as ended:
        worker_process.serve(theirs, key=b"")
    assert ended.value.code == OUT_OF_MEMORY
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("worker-1 on cuda:0 ends, as what it computes does not fit: ")
    assert "much more" not in sentence


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
