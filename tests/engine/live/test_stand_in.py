"""Workers on a device, in real processes: what `make gpu-check` asks of a GPU, asked of the stand-in."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from engine.errors import BadInput
from engine.events import StepEnded
from engine.link import LinkSpec
from engine.live import gpus
from engine.live.compute.stand_in import LateMark, StandIn
from engine.live.gpus import Checked
from engine.live.machine import gpu_pairs
from engine.live.machine.gpu_pairs import Pair
from engine.live.process.front import Front
from engine.live.process.run import machine
from engine.live.process.worker_process import WorkerProcess
from engine.messages import Configure, Prefill, Ship, Start
from engine.request import Request
from engine.scenario import Deployment, ModelSpec
from tests.gpu.__main__ import QUICK, SLOW, Check, added, check as run_checks, main, same_as_workers
from tests.gpu.bench import Bench, LeftOut
from tests.gpu.sound import workers_that_die

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(("stand-in",), tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("check", [*QUICK, *SLOW], ids=lambda check: check.__name__)
def test_what_a_gpu_must_do(check: Check, bench: Bench) -> None:
    try:
        assert check(bench)
    except LeftOut as why:
        pytest.skip(str(why))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"listen": ("127.0.0.1", 7000)}, "device is 'stand-in', but must be cpu where workers join from other hosts."),
    ],
)
def test_what_workers_on_a_device_cannot_do(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        Front(Deployment(), LinkSpec(), ModelSpec("tiny-llama", "fp32", device="stand-in"), **asked)
    assert str(refused.value) == said


def test_a_run_says_that_it_was_the_stand_in() -> None:
    assert machine("stand-in") == f"{machine()}; workers on the stand-in for a GPU, which is this CPU"


def test_nothing_of_the_stand_in_is_written_down_as_a_gpu_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.gpu.__main__.QUICK", ())
    ran = CliRunner().invoke(main, ["--device", "stand-in", "--quick", "--out", str(tmp_path / "checked.json")])
    assert ran.exit_code == 2
    assert "the stand-in is no GPU" in ran.output
    assert not list(tmp_path.iterdir())


def test_without_shared_memory_all_else_is_checked_over_tcp(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_pairs, "measure", lambda places: [Pair("cuda:7", "cuda:7", why="It is closed.")])
    assert Bench(("cuda:7",), bench.folder).doors == ("tcp",)
    monkeypatch.setattr(gpu_pairs, "measure", lambda places: [Pair("cuda:7", "cuda:7", 1e9, 2e9)])
    assert Bench(("cuda:7",), bench.folder).doors == ("shm", "tcp")


def test_a_worker_is_held_to_its_share_before_it_takes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    made = StandIn.shareable_zeros

    def zeros(self: StandIn, nbytes: int) -> Any:
        taken.append("pool")
        return made(self, nbytes)

    monkeypatch.setattr(StandIn, "keep_within", lambda self, nbytes: taken.append(nbytes))
    monkeypatch.setattr(StandIn, "shareable_zeros", zeros)
    spec = ModelSpec("tiny-llama", "fp32", 64, "stand-in")
    start = Start("w", spec, 0.0, ("shm",), -1, "stand-in", memory_bytes=7_000_000_000)
    WorkerProcess(Mock(), start, "127.0.0.1", b"", None)._courier.close()
    assert taken == [7_000_000_000, "pool"]


def test_under_mps_no_worker_is_killed_to_see_what_happens(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/tmp/mps")
    with pytest.raises(LeftOut, match="under MPS"):
        workers_that_die(Bench(("cuda:0",), bench.folder))


def test_a_check_that_fails_or_is_left_out_stops_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(bench: Bench) -> str:
        raise ValueError("other bytes")

    def absent(bench: Bench) -> str:
        raise LeftOut("there is none")

    def good(bench: Bench) -> str:
        return "all of them"

    found = run_checks(bench, (bad, absent, good))
    assert (found.rows, found.failed) == ({"good": "all of them"}, {"bad": "FAILED: ValueError: other bytes"})

    def broken(self: Bench) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(Bench, "let_go", broken)
    assert list(run_checks(bench, (good, good)).failed) == ["good"]


def test_the_checks_run_in_the_environment_that_workers_have(monkeypatch: pytest.MonkeyPatch) -> None:
    began = Mock()
    monkeypatch.setattr("os.execve", began)
    monkeypatch.setenv(gpus.OLD_NAME, "expandable_segments:True")
    same_as_workers()
    ((_, _, wanted), _) = began.call_args
    assert wanted.items() >= gpus.ENVIRONMENT.items()
    assert gpus.OLD_NAME not in wanted
    monkeypatch.delenv(gpus.OLD_NAME)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    same_as_workers()
    assert began.call_count == 1, "once is enough"


def test_a_second_run_adds_to_the_first() -> None:
    quick = Checked("H200", "580", "2.11.0", "monday", {"tokens": "4"}, {"trays": "other bytes"})
    slow = Checked("H200", "580", "2.11.0", "tuesday", {"steps": "3 ms"}, {})
    other = Checked("T4", "580", "2.11.0", "monday", {"tokens": "4"}, {})
    (first, both) = added([quick, other], slow)
    assert first == other
    assert both == Checked("H200", "580", "2.11.0", "tuesday", quick.rows | slow.rows, quick.failed)
    assert not both.passed
    mended = Checked("H200", "580", "2.11.0", "tuesday", {"trays": "2"}, {})
    assert added([both], mended)[0].passed


def test_a_step_ends_and_a_layer_leaves_only_once_the_device_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in computes at once, so nothing else would notice."""
    said: list[Any] = []
    marks: list[Any] = []
    channel = Mock(send=said.append)
    spec = ModelSpec("tiny-llama", "fp32", 64, "stand-in")
    worker = WorkerProcess(channel, Start("w", spec, 0.0, ("shm",), -1, "stand-in"), "127.0.0.1", b"", None)
    monkeypatch.setattr(worker._courier, "begin", lambda *_: None)
    monkeypatch.setattr(worker._courier, "layer_ready", lambda request, layer, mark: marks.append(mark))
    monkeypatch.setattr(StandIn, "finish", lambda self: said.append("finished"))
    worker._obey(Configure("prefill_only", 256, "shm", "layers", samples_first_token=False))
    worker._obey(Prefill(Request("r", (1, 2, 3), 4), ship=Ship("r", "d", b"", (0,))))
    plan, _ = worker._worker.plan(0.0)
    worker._step(plan, 0.0)
    assert [type(mark) for mark in marks] == [LateMark] * 4
    assert said[0] == "finished"
    assert any(isinstance(event, StepEnded) for event in said[1].events)
    worker._courier.close()
