"""Findings through the real pynvml, on a small libnvidia-ml.so.1 that is compiled here and has chosen troubles."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from engine.cli import cli, run_cli
from engine.fleet.catalog.hf_config import model
from engine.fleet.host.findings import Finding, Tray, findings
from engine.fleet.host.links import roads
from engine.fleet.host.nvml import Fleet, Gpu, NvLink, Pair, example_fleet

TRAY = Tray(model("llama-3.1-8b"), 4096)
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
ASK = "import msgspec, sys; from engine.fleet.host.nvml import read_fleet; "
ASK += "sys.stdout.buffer.write(msgspec.json.encode(read_fleet(watch_s=0.01)))"

Machine = Callable[[str], Fleet]


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with a trouble, as pynvml sees it in a process of its own."""
    if COMPILER is None:
        pytest.skip("no C compiler: the fake libnvidia-ml.so.1 cannot be built")
    folder = tmp_path_factory.mktemp("nvml")
    source, library = Path(__file__).with_name("fake_nvml.c"), folder / "libnvidia-ml.so.1"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True)

    def read(trouble: str) -> Fleet:
        env = os.environ | {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML": trouble}
        ran = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return msgspec.json.decode(ran.stdout, type=Fleet)

    return read


def grave(fleet: Fleet) -> list[Finding]:
    return [finding for finding in findings(fleet, TRAY) if finding.severity != "info"]


def test_healthy_pairs(machine: Machine) -> None:
    fleet = machine("healthy")
    assert [(gpu.name, len(gpu.links)) for gpu in fleet.gpus] == [("NVIDIA A100 80GB PCIe", 4)] * 4
    first = fleet.gpus[0].links[0]
    assert (first.version, first.bytes_per_s, first.remote, first.remote_bus) == ("3", 25e9, "gpu", fleet.gpus[1].bus)
    assert grave(fleet) == []
    kinds = {(road.a, road.b): (road.kind, road.bytes_per_s) for road in roads(fleet)}
    assert kinds[0, 1] == kinds[2, 3] == ("nvlink", 4 * 25e9 * 0.75)
    assert kinds[0, 2] == kinds[1, 3] == ("pcie", 32e9 * 0.66)


def test_a_pair_that_is_down(machine: Machine) -> None:
    fleet = machine("pair-down")
    (broken,) = grave(fleet)
    assert (broken.severity, broken.gpus) == ("critical", (2, 3))
    assert broken.what == "NVLinks are down. GPU 2: 4 of 4; GPU 3: 4 of 4."
    assert broken.bytes_per_s == 32e9 * 0.66
    assert broken.healthy_bytes_per_s == 75e9
    assert broken.handoff_s == pytest.approx(4096 * 131_072 / (32e9 * 0.66))
    for words in ("25.4 ms at 21.1 GB/s", "7.16 ms at 75 GB/s", "1.07 s at 500 MB/s if pulled"):
        assert words in broken.effect
    assert "NixlPushConnector" in broken.fix
    assert "If no bridge was ever fitted" in broken.fix
    assert msgspec.structs.replace(fleet, example=True) == example_fleet()  # what ships is what is read


def test_one_link_of_four_down_costs_a_quarter(machine: Machine) -> None:
    (broken,) = grave(machine("one-link-down"))
    assert broken.gpus == (0, 1)
    assert broken.bytes_per_s == pytest.approx(0.75 * (broken.healthy_bytes_per_s or 0))


def test_errors_that_rise_are_told_from_old_ones(machine: Machine) -> None:
    (rising,), (old,) = grave(machine("errors-rising")), grave(machine("old-errors"))
    assert (rising.severity, old.severity) == ("critical", "warning")
    assert "150 replay, 50 of them while we watched" in rising.what
    assert "7 replay since they were last reset" in old.what


def test_nvswitch(machine: Machine) -> None:
    fleet = machine("nvswitch")
    assert grave(fleet) == []
    assert {road.bytes_per_s for road in roads(fleet)} == {
        450e9 * 0.75
    }  # payload: 25 of the 26.562 GB/s that NVML says
    assert {road.label for road in roads(fleet)} == {"18 × NVLink 4 through NVSwitch"}
    (limited,) = grave(machine("fabric-limited"))
    assert limited.what.endswith("the NVSwitch fabric is of limited capacity.")


def test_not_supported_is_no_fault(machine: Machine) -> None:
    fleet = machine("no-nvlink")
    assert fleet.unread == ()
    assert all(gpu.links == () for gpu in fleet.gpus)
    assert grave(fleet) == []
    assert {road.kind for road in roads(fleet)} == {"pcie"}


def test_a_gpu_lost_half_way_is_left_out_and_said(machine: Machine) -> None:
    fleet = machine("lost-half-way")
    assert [gpu.index for gpu in fleet.gpus] == [0, 1, 3]
    assert {(pair.a, pair.b) for pair in fleet.pairs} == {(0, 1), (0, 3), (1, 3)}
    (lost,) = grave(fleet)
    assert lost.severity == "critical"
    assert "GPU 2: memory: GPU is lost" in lost.what


def test_a_driver_that_is_not_loaded(machine: Machine) -> None:
    fleet = machine("driver-not-loaded")
    assert fleet.gpus == ()
    assert "Driver Not Loaded" in grave(fleet)[0].what


def test_no_driver_and_no_gpu(machine: Machine) -> None:
    assert machine("no-gpu").why == "the NVIDIA driver has none that answers"
    (only,) = findings(Fleet(why="no NVIDIA driver is installed"), TRAY)
    assert only.severity == "info"
    assert "--example" in only.fix


def test_peers_that_may_not_write(machine: Machine) -> None:
    fleet = machine("p2p-off")
    (blocked,) = grave(fleet)
    assert "disabled in the driver" in blocked.what
    assert blocked.bytes_per_s == 0.5e9


def test_pcie_lanes_are_a_fault_and_a_low_generation_is_not_yet(machine: Machine) -> None:
    fleet = machine("pcie-slow")
    (narrow,) = grave(fleet)
    assert narrow.what == "GPU 1: 4 of 16 PCIe lanes."
    assert narrow.healthy_bytes_per_s == pytest.approx(4 * (narrow.bytes_per_s or 0))
    idle = [finding for finding in findings(fleet, TRAY) if "runs at 1.0 now" in finding.what]
    assert [finding.gpus for finding in idle] == [(0, 1, 2, 3)]


def test_the_example_says_that_it_is_one() -> None:
    first, second, *_ = findings(example_fleet(), TRAY)
    assert "not this machine" in first.what
    assert second.severity == "critical"


def test_a_gpu_alone_with_a_link_that_is_down() -> None:
    """An A100 without a bridge: nobody to be joined to, so no road is lost."""
    (only,) = grave(Fleet((Gpu(0, "x", 1, links=(NvLink(0, active=False),)),)))
    assert only.severity == "warning"
    assert only.what == "No NVLink is up on GPU 0: no bridge is fitted, or all are down."
    assert only.bytes_per_s is None


def test_a_pair_about_which_nothing_is_known() -> None:
    """An old driver: no P2P status, no PCIe, no links. The road is the worst there is, and nothing breaks."""
    fleet = Fleet((Gpu(0, "x", 1), Gpu(1, "y", 1)), (Pair(0, 1),))
    assert [road.kind for road in roads(fleet)] == ["host"]
    assert grave(fleet) == []


@pytest.mark.live
def test_doctor_shows_them(capfd: pytest.CaptureFixture[str]) -> None:
    options = ["doctor", "--model", "tiny-llama", "--example"]
    assert run_cli(cli, [*options, "--json", "--fleet-model", "qwen3-32b", "--fleet-prompt", "1000"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert [gpu["name"] for gpu in said["gpus"]] == ["NVIDIA A100 80GB PCIe"] * 4
    assert said["findings"][1]["severity"] == "critical"
    assert "Qwen3-32B, 1,000 tokens (262 MB)" in said["findings"][1]["effect"]
    assert run_cli(cli, options) == 0
    assert "To do: Drain the node" in capfd.readouterr().out
    assert run_cli(cli, [*options, "--fleet-model", "nonesuch"]) == 2
    assert "one of smollm2-135m" in capfd.readouterr().err
