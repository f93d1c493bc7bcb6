"""Which GPUs workers use: said in one sentence where it cannot be, before anything starts."""

import importlib.resources
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import msgspec
import pytest
import torch

from engine.cli import cli, run_cli
from engine.commands.doctor import pairs_said
from engine.errors import BadInput, WorkerFailed
from engine.fleet.host.links import Road
from engine.live import gpus
from engine.live.compute import list_gpus
from engine.live.gpus import NEVER_CHECKED, Checked, Found, Gpu, places, said_of
from engine.live.machine.doctor import gpu_workers, pairs_of_gpus
from engine.live.machine.gpu_pairs import Pair
from engine.live.model import room
from engine.live.model.catalog import prepare
from engine.live.process.introductions import Introductions
from engine.live.process.seat import Seat, seats as made_seats
from engine.messages import Meet, Met, Ready
from engine.scenario import Deployment, ModelSpec
from engine.worker import MAX_RUNNING

NONE = Found((), "this torch, 2.13.0+cpu, is built without CUDA")
H200 = Gpu(0, "NVIDIA H200", 150 << 30, (9, 0), (1,), 140 << 30)
T4 = Gpu(1, "Tesla T4", 16 << 30, (7, 5), (0,), 15 << 30)
TWO = Found((H200, T4))


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "found", lambda: TWO)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", ("cpu",)),
        ("stand-in", ("stand-in",)),
        ("cuda", ("cuda:0", "cuda:1")),
        ("cuda:1", ("cuda:1",)),
        ("cuda:1,cuda:0", ("cuda:1", "cuda:0")),
        ("cuda:0,cuda:0,cuda:1", ("cuda:0", "cuda:0", "cuda:1")),
    ],
)
def test_places(device: str, expected: tuple[str, ...]) -> None:
    assert places(device, TWO) == expected


@pytest.mark.parametrize(
    ("device", "there", "said"),
    [
        ("cuda", NONE, "but must be cpu where torch finds no GPU: this torch, 2.13.0+cpu, is built without CUDA."),
        ("cuda:0", NONE, "but must be cpu where torch finds no GPU: this torch, 2.13.0+cpu, is built without CUDA."),
        ("cuda:2", TWO, "but must be made of cuda:0, cuda:1, which are here."),
    ],
)
def test_gpus_that_are_not_here(device: str, there: Found, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        places(device, there)
    assert str(refused.value) == f"device is '{device}', {said}"


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:0,", "cuda:0,cpu", "CUDA", "mps", None])
def test_what_is_no_device(device: str) -> None:
    with pytest.raises(BadInput, match=r"device is .*, but must be cpu, cuda, or a list as cuda:0,cuda:1\.$"):
        ModelSpec(device=device).checked()


@pytest.mark.parametrize("command", ["run", "compare", "doctor"])
def test_without_a_gpu_it_is_one_sentence_and_exit_code_2(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def starts(seat: Seat, key: bytes) -> None:
        raise AssertionError("nothing may start")

    monkeypatch.setattr(gpus, "found", lambda: NONE)
    monkeypatch.setattr(Seat, "start_process", starts)
    assert run_cli(cli, [command, "--model", "tiny-llama", "--device", "cuda"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"device is 'cuda', but must be cpu where torch finds no GPU: {NONE.why}.\n")


def test_this_machine_is_asked_and_no_torch_stays_behind() -> None:
    gpus.found.cache_clear()
    found = gpus.found()
    assert bool(found.gpus) != bool(found.why)
    assert found.why == list_gpus.look().why


def test_a_gpu_that_others_fill_is_listed_with_nothing_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def free_and_total(index: int) -> tuple[int, int]:
        if index:
            raise RuntimeError("CUDA-capable device(s) is/are busy or unavailable")
        return 7 << 30, 16 << 30

    about = SimpleNamespace(name="Tesla T4", total_memory=16 << 30, major=7, minor=5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    monkeypatch.setattr(torch.cuda, "can_device_access_peer", lambda one, other: False)
    monkeypatch.setattr(torch.cuda, "mem_get_info", free_and_total)
    assert [gpu.free_bytes for gpu in list_gpus.look().gpus] == [7 << 30, 0]


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(("device", "dtype"), [("cuda:0", "bfloat16"), ("cuda:1", "float32"), ("cuda", "float32")])
def test_auto_is_bf16_where_every_gpu_multiplies_it(device: str, dtype: str) -> None:
    assert prepare(ModelSpec("tiny-llama", device=device)).dtype == dtype


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    return tmp_path / "gpu-checked.json"


@pytest.mark.usefixtures("two")
def test_what_was_checked_on_a_gpu_is_said_with_what_failed(checks: Path) -> None:
    checks.write_bytes(b"[]")
    others = "what else used them is not measured"
    assert said_of("cuda") == f"NVIDIA H200 ({NEVER_CHECKED}); Tesla T4 ({NEVER_CHECKED}); {others}"
    passed = Checked("NVIDIA H200", "580.1", "2.11.0", "2026-11-29", {"tokens": "4", "trays": "2"}, {})
    failed = msgspec.structs.replace(passed, gpu="Tesla T4", rows={"tokens": "4"}, failed={"trays": "other bytes"})
    checks.write_bytes(msgspec.json.encode([passed, failed]))
    assert said_of("cuda:0") == (
        f"NVIDIA H200 (checked 2026-11-29 with driver 580.1, torch 2.11.0: tokens, trays); {others}"
    )
    assert said_of("cuda:1") == (
        f"Tesla T4 (checked 2026-11-29 with driver 580.1, torch 2.11.0: tokens; FAILED: trays); {others}"
    )
    assert said_of("cpu") == ""


def test_workers_on_gpus_number_them_as_nvml_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.OLD_NAME, "expandable_segments:True")
    made = gpus.environment()
    assert gpus.OLD_NAME not in made
    assert made.items() >= gpus.ENVIRONMENT.items()


def test_doctor_says_what_is_known_of_workers_on_gpus(checks: Path) -> None:
    checks.write_bytes(b"[]")
    assert gpu_workers(NONE) == {"no GPU here": NONE.why}
    assert pairs_of_gpus(()) == pairs_of_gpus(("cpu",)) == []
    assert gpu_workers(TWO) == {
        "cuda:0": f"NVIDIA H200, {NEVER_CHECKED}",
        "cuda:1": f"Tesla T4, {NEVER_CHECKED}",
    }


def test_doctor_says_what_kv_reaches_and_over_which_road(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [
        Pair("cuda:0", "cuda:0", 1.5e12, 2e12, flops_per_s=7e14),
        Pair("cuda:0", "cuda:1", 150e9, 200e9),
        Pair("cuda:1", "cuda:1", why="It cannot be opened."),
    ]
    nvlink = [Road(0, 1, "nvlink", "18 × NVLink 4 through NVSwitch", 4e11, 4e11)]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert pairs_said(pairs, nvlink) == {
        "cuda:0 to cuda:0": "1.5 TB/s of KV, 2 TB/s copied by the driver (the same GPU); 700 TFLOP/s in bf16",
        "cuda:0 to cuda:1": "150 GB/s of KV, 200 GB/s copied by the driver (18 × NVLink 4 through NVSwitch)",
        "cuda:1 to cuda:1": "It cannot be opened. (the same GPU)",
    }
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")  # cuda:0 is NVML's 1 then
    assert "a road that NVML does not name" in pairs_said(pairs, nvlink)["cuda:0 to cuda:1"]
    assert pairs_said([], []) == {"no GPU": "nothing to measure"}


def block_bytes() -> int:
    return prepare(ModelSpec("tiny-llama", "fp32")).kv_shape.tray_bytes(1)


def free(monkeypatch: pytest.MonkeyPatch, *gpus_bytes: int) -> None:
    there = tuple(Gpu(n, f"GPU {n}", size, (9, 0), free_bytes=size) for n, size in enumerate(gpus_bytes))
    monkeypatch.setattr(gpus, "found", lambda: Found(there))


def test_a_pool_takes_what_a_worker_s_share_of_the_least_gpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks(workers: int, device: str = "cuda") -> int:
        return prepare(ModelSpec("tiny-llama", "fp32", device=device), workers).kv_blocks

    monkeypatch.setattr(room, "TAKEN_BYTES", 0)
    monkeypatch.setattr(room, "MAX_RUNNING", 1000)
    free(monkeypatch, 2_000_000_000, 1_000_000_000)
    both, alone = blocks(2), blocks(2, "cuda:1")
    assert blocks(1, "cuda:1") == both, "one worker on each: the smaller one decides"
    assert (both - alone) * block_bytes() == pytest.approx(0.9 * 1e9 / 2, rel=0.01), "two share it"
    assert prepare(ModelSpec("tiny-llama", "fp32", 7, "cuda"), 2).kv_blocks == 7, "what was asked for is what there is"
    assert prepare(ModelSpec("tiny-llama", "fp32"), 2).kv_blocks == room.ON_HOST


def test_workers_on_one_gpu_share_it_and_one_on_the_cpu_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1_000_000_000, 500_000_000)
    assert gpus.shares(["cuda:0", "cuda:1", "cuda:0"]) == {"cuda:0": 450_000_000, "cuda:1": 450_000_000}
    assert [seat.memory_bytes for seat in made_seats(3, ["cuda:1", "cuda:0"], None)] == [
        225_000_000,
        900_000_000,
        225_000_000,
    ]
    monkeypatch.setattr(gpus, "found", lambda: pytest.fail("no GPU is asked for"))
    assert gpus.shares(["cpu", "stand-in"]) == {}


def test_what_a_killed_worker_leaves_in_the_memory_s_folder_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's file names: /torch_PID_RANDOM_NUMBER."""
    monkeypatch.setattr(gpus, "COUNTERS", tmp_path)
    for seat in (Seat("worker-0", -1, "cuda:0"), Seat("worker-1", -1, "cuda:0")):
        seat.process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
        mine, another = (tmp_path / f"torch_{pid}_77_0" for pid in (seat.process.pid, f"{seat.process.pid}0"))
        mine.touch()
        another.touch()
        seat.vacate() if seat.name == "worker-0" else seat.end(0.0)
        assert not mine.exists()
        assert another.exists(), "it belongs to another process"


def test_no_pool_is_larger_than_what_can_be_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 140 << 30)
    prepared = prepare(ModelSpec("tiny-llama", "fp32", device="cuda"))
    assert prepared.kv_blocks * 16 == MAX_RUNNING * prepared.context_tokens


def test_a_gpu_without_room_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 2_000_000_000)
    with pytest.raises(BadInput) as refused:
        prepare(ModelSpec("tiny-llama", "fp32", device="cuda:0"), 2)
    assert str(refused.value).startswith(
        "model is 'tiny-llama', but must be small enough for cuda:0, or given --kv-blocks: "
        "GPU 0 has 2 GB free for 2 workers, and each needs "
    )


def test_under_mps_nobody_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fatal error of one client may be everybody's there."""
    alive, killed = Mock(), Mock()
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/tmp/mps")
    with pytest.raises(BadInput, match="left alive under MPS"):
        Seat("worker-0", -1, "cuda:0", process=alive).kill()
    assert not alive.kill.called
    Seat("worker-1", -1, process=killed).kill()  # on the CPU, nothing is shared
    assert killed.kill.called


def test_workers_on_gpus_meet_before_a_tray_needs_it() -> None:
    ready = Ready(1, 8, 16, 64, 128, "float32", {"shm": b"way", "tcp": b"other"})
    seats = [Seat(f"worker-{n}", -1, f"cuda:{n}", channel=Mock()) for n in range(3)]
    split, known = Deployment(workers=3, prefill_workers=2), Introductions()
    seats[0].ready = seats[2].ready = ready
    (asked,) = known.due(seats, split)
    assert asked == (seats[0], Meet("worker-2", "shm", b"way"))
    assert list(known.due(seats, split)) == [], "once is enough"
    assert not known.made(seats[0])
    known.answered(seats[0], Met("worker-2", b"way", ""), seats[2])
    assert known.made(seats[0])
    (other,) = known.due(seats, msgspec.structs.replace(split, transport="tcp"))
    assert other[1].transport == "tcp"
    known.forget(seats[2])
    seats[2].ready = msgspec.structs.replace(ready, endpoints={"shm": b"new way"})
    assert [meet.target for _, meet in known.due(seats, split)] == ["worker-2"], "its successor is somebody else"
    known.answered(seats[0], Met("worker-2", b"way", "It is closed."), seats[2])  # of the one before
    assert not known.made(seats[0])
    failed = Met("worker-2", b"new way", "It is closed.")
    seats[2].process = Mock(poll=lambda: -9)
    known.answered(seats[0], failed, seats[2])
    assert known.made(seats[0]), "that it has died is no reason to end the engine"
    seats[2].process = None
    known.forget(seats[2])
    assert list(known.due(seats, split))
    with pytest.raises(WorkerFailed, match=r"worker-0 on cuda:0 can't hand KV over to worker-2\. It is closed\."):
        known.answered(seats[0], failed, seats[2])


def test_workers_on_the_cpu_need_no_introduction() -> None:
    ready = Ready(1, 8, 16, 64, 128, "float32", {"shm": b"way"})
    seats = [Seat(f"worker-{n}", n, ready=ready) for n in range(2)]
    assert list(Introductions().due(seats, Deployment())) == []


def test_the_readme_says_of_gpus_what_was_checked_and_no_more() -> None:
    root = Path(__file__).parents[3]
    (row,) = (line for line in (root / "README.md").read_text().splitlines() if line.startswith("| GPUs as workers"))
    checks = msgspec.json.decode((root / "engine/live/gpu-checked.json").read_bytes(), type=list[Checked])
    assert ("ever run on a GPU" in row) == (not checks)
    assert all(entry.gpu in row for entry in checks)


def test_the_package_says_itself_what_was_checked() -> None:
    assert gpus.checked("a GPU that nobody has") == NEVER_CHECKED
