"""Which GPUs workers use: said in one sentence where it cannot be, before anything starts."""

import importlib.resources
from pathlib import Path

import msgspec
import pytest

from engine.cli import cli, run_cli
from engine.errors import BadInput
from engine.live import gpus
from engine.live.compute import list_gpus
from engine.live.gpus import NEVER_CHECKED, Checked, Found, Gpu, places, said_of
from engine.live.machine.doctor import gpu_workers
from engine.live.model.catalog import prepare
from engine.live.process.seat import Seat
from engine.scenario import ModelSpec

NONE = Found((), "this torch, 2.13.0+cpu, is built without CUDA")
H200, T4 = Gpu(0, "NVIDIA H200", 150 << 30, (9, 0), (1,)), Gpu(1, "Tesla T4", 16 << 30, (7, 5), (0,))
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


@pytest.mark.parametrize("command", ["run", "compare"])
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
    assert found == list_gpus.look()


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(("device", "dtype"), [("cuda:0", "bfloat16"), ("cuda:1", "float32"), ("cuda", "float32")])
def test_auto_is_bf16_where_every_gpu_multiplies_it(device: str, dtype: str) -> None:
    assert prepare(ModelSpec("tiny-llama", device=device)).dtype == dtype


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    return tmp_path / "gpu-checked.json"


@pytest.mark.usefixtures("two")
def test_a_gpu_counts_as_checked_only_by_a_check_that_passed(checks: Path) -> None:
    checks.write_bytes(b"[]")
    assert said_of("cuda") == f"NVIDIA H200 ({NEVER_CHECKED}); Tesla T4 ({NEVER_CHECKED})"
    passed = Checked("NVIDIA H200", "580.1", "2.11.0", "2026-11-29", {"tokens": "4", "trays": "2"}, {})
    failed = msgspec.structs.replace(passed, gpu="Tesla T4", failed={"trays": "other bytes"})
    checks.write_bytes(msgspec.json.encode([passed, failed]))
    assert said_of("cuda:0") == ("NVIDIA H200 (checked 2026-11-29 with driver 580.1, torch 2.11.0: tokens, trays)")
    assert said_of("cuda:1") == f"Tesla T4 ({NEVER_CHECKED})"
    assert said_of("cpu") == ""


def test_workers_on_gpus_number_them_as_nvml_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.OLD_NAME, "expandable_segments:True")
    made = gpus.environment()
    assert gpus.OLD_NAME not in made
    assert made.items() >= gpus.ENVIRONMENT.items()


def test_doctor_says_what_is_known_of_workers_on_gpus(checks: Path) -> None:
    checks.write_bytes(b"[]")
    assert gpu_workers(NONE) == {"none": NONE.why}
    assert gpu_workers(TWO) == {
        "cuda:0": f"NVIDIA H200, {NEVER_CHECKED}",
        "cuda:1": f"Tesla T4, {NEVER_CHECKED}",
    }


def test_the_package_says_itself_what_was_checked() -> None:
    assert gpus.checked("a GPU that nobody has") == NEVER_CHECKED
