"""Findings through the real pynvml, on a small libnvidia-ml.so.1 that is compiled here and has chosen troubles."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from engine.cli import cli, run_cli
from engine.commands.doctor import _show as show
from engine.fleet.catalog.hf_config import model
from engine.fleet.host.finding import Finding, Tray
from engine.fleet.host.findings import findings
from engine.fleet.host.fleet import Fleet, Gpu, NvLink, Pair, example_fleet
from engine.fleet.host.links import roads

TRAY = Tray(model("llama-3.1-8b"), 4096)
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
ASK = "import msgspec, sys; from engine.fleet.host.nvml import read_fleet; "
ASK += "sys.stdout.buffer.write(msgspec.json.encode(read_fleet(watch_s=0.01)))"


class Machine(Protocol):
    def __call__(self, troubles: str, visible: str | None = None) -> Fleet: ...


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with troubles, as pynvml sees it in a process of its own."""
    if COMPILER is None:
        pytest.skip("no C compiler: the fake libnvidia-ml.so.1 cannot be built")
    folder = tmp_path_factory.mktemp("nvml")
    source, library = Path(__file__).with_name("fake_nvml.c"), folder / "libnvidia-ml.so.1"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True)

    def read(troubles: str, visible: str | None = None) -> Fleet:
        env = os.environ | {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML": troubles}
        env.pop("CUDA_VISIBLE_DEVICES", None)
        env |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
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


def test_processes_that_compute_on_a_gpu_are_counted(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a GPU, a run cannot tell that somebody else used it: doctor says who does now."""
    fleet = machine("used")
    assert [gpu.processes for gpu in fleet.gpus] == [0, 2, 0, 0]
    show({"gpus": fleet.gpus})
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith("NVIDIA A100 80GB PCIe, 85.9 GB")
    assert second.endswith("NVIDIA A100 80GB PCIe, 85.9 GB, used by 2 processes now")


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
    assert msgspec.structs.replace(fleet, example=True) == example_fleet()  # what ships is what is read


def test_one_link_of_four_down_costs_a_quarter(machine: Machine) -> None:
    (broken,) = grave(machine("one-link-down"))
    assert broken.gpus == (0, 1)
    assert broken.bytes_per_s == pytest.approx(0.75 * (broken.healthy_bytes_per_s or 0))


def test_errors_that_rise_are_told_from_old_ones(machine: Machine) -> None:
    (rising,), (old,) = grave(machine("errors-rising")), grave(machine("old-errors"))
    assert (rising.severity, old.severity) == ("critical", "warning")
    assert rising.what.endswith("GPU 0, link 1: 150 replay, 50 of them while we watched.")
    assert old.what.endswith("none while we watched. GPU 0, link 1: 7 replay.")


def test_many_links_with_errors_are_one_finding(machine: Machine) -> None:
    (rising,) = grave(machine("nvswitch,all-rising"))
    assert rising.what.count("18 links: ") == 4


def test_a_counter_that_does_not_count_has_found_nothing(machine: Machine) -> None:
    for without in ("no-counters", "old-counters"):
        fleet = machine(without)
        assert (len(fleet.gpus), grave(fleet), fleet.unread) == (4, [], ())


def test_nvswitch(machine: Machine) -> None:
    fleet = machine("nvswitch")
    assert grave(fleet) == []
    assert {road.bytes_per_s for road in roads(fleet)} == {
        450e9 * 0.75
    }  # payload: 25 of the 26.562 GB/s that NVML says
    assert {road.label for road in roads(fleet)} == {"18 × NVLink 4 through NVSwitch"}


@pytest.mark.parametrize(
    ("trouble", "severity", "said"),
    [
        ("fabric-not-started", "critical", "the setup of the NVSwitch fabric is not started, so CUDA does not start"),
        ("fabric-in-progress", "critical", "the setup of the NVSwitch fabric is in progress"),
        ("fabric-failed", "critical", "the setup of the NVSwitch fabric did not complete (Unknown Error)"),
        ("fabric-limited", "warning", "the NVSwitch fabric is of limited capacity."),
        ("fabric-degraded", "warning", "the NVSwitch fabric is not whole (the bandwidth is degraded)."),
        ("fabric-few-links", "critical", "the NVSwitch fabric is not whole (NVLinks are missing)."),
    ],
)
def test_a_fabric_that_is_not_well(machine: Machine, trouble: str, severity: str, said: str) -> None:
    fleet = machine(f"nvswitch,{trouble}")
    (found,) = grave(fleet)
    assert (found.severity, said in found.what) == (severity, True)
    if "setup" in said:
        assert {road.kind for road in roads(fleet)} == {"pcie"}
        assert (found.healthy_bytes_per_s, "nvidia-fabricmanager" in found.fix) == (450e9 * 0.75, True)
    else:
        assert found.gpus == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("driver", "severity"), [("driver-r550", "critical"), ("driver-r525", None)], ids=["knows v2", "knows neither"]
)
def test_drivers_that_do_not_know_the_newest_fabric_call(machine: Machine, driver: str, severity: str | None) -> None:
    """No GPU vanishes, what the older layout tells is used, and its missing summary is no fault."""
    fleet = machine(f"nvswitch,{driver}")
    assert (len(fleet.gpus), fleet.unread, grave(fleet)) == (4, (), [])
    found = grave(machine(f"nvswitch,{driver},fabric-not-started"))
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_a_switch_that_a_virtual_machine_does_not_see(machine: Machine) -> None:
    fleet = machine("nvswitch,vm,hidden-switch")
    assert {road.kind for road in roads(fleet)} == {"nvlink"}
    assert {road.label for road in roads(fleet)} == {"18 × NVLink 4 through an NVSwitch that this machine does not see"}
    assert grave(fleet) == []


def test_mig_instances_reach_nobody_by_nvlink(machine: Machine) -> None:
    """And a memory that a container may not ask for takes no GPU away."""
    fleet = machine("nvswitch,mig")
    assert [(gpu.mig_instances, gpu.memory_bytes) for gpu in fleet.gpus] == [(6, 0)] * 4
    assert {road.kind for road in roads(fleet)} == {"host"}
    assert grave(fleet) == []
    said = [finding.what for finding in findings(fleet, TRAY)]
    assert "GPU 0, GPU 1, GPU 2, GPU 3: cut into MIG instances, 6 each." in said
    assert "NVML did not answer everything. GPU 0: memory: Insufficient Permissions, and 3 more calls." in said


def test_an_optional_question_that_fails_takes_no_gpu_away(machine: Machine) -> None:
    fleet = machine("wsl")
    assert (len(fleet.gpus), len(fleet.unread), grave(fleet)) == (4, 4, [])
    assert {road.kind for road in roads(fleet)} == {"pcie"}


def test_not_supported_is_no_fault(machine: Machine) -> None:
    fleet = machine("no-nvlink")
    assert fleet.unread == ()
    assert all(gpu.links == () for gpu in fleet.gpus)
    assert grave(fleet) == []
    assert {road.kind for road in roads(fleet)} == {"pcie"}


@pytest.mark.parametrize(
    ("trouble", "said"), [("lost-half-way", "GPU is lost"), ("reset-required", "GPU requires restart")]
)
def test_a_gpu_lost_half_way_is_left_out_and_said(machine: Machine, trouble: str, said: str) -> None:
    fleet = machine(trouble)
    assert [gpu.index for gpu in fleet.gpus] == [0, 1, 3]
    assert {(pair.a, pair.b) for pair in fleet.pairs} == {(0, 1), (0, 3), (1, 3)}
    (lost,) = grave(fleet)
    assert lost.severity == "critical"
    assert f"GPU 2: memory: {said}" in lost.what
    assert "reset" in lost.fix


@pytest.mark.parametrize(
    ("trouble", "said", "fix"),
    [
        ("driver-not-loaded", "Driver Not Loaded", "modprobe nvidia"),
        ("version-mismatch", "version mismatch", "reboot"),
        ("no-permission", "Insufficient Permissions", "/dev/nvidia*"),
    ],
)
def test_a_driver_that_does_not_start_gets_its_own_advice(machine: Machine, trouble: str, said: str, fix: str) -> None:
    fleet = machine(trouble)
    assert fleet.gpus == ()
    (only,) = grave(fleet)
    assert said in only.what
    assert fix in only.fix
    assert "Xid" not in only.fix


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


@pytest.mark.parametrize(
    ("trouble", "severity", "fix"),
    [
        ("acs", "warning", "Turn ACS off"),
        ("acs,vm", "warning", "A virtual machine's host decides"),
        ("geforce", "info", "Nothing: NVIDIA's driver does not offer it for GeForce"),
    ],
)
def test_what_is_to_be_done_depends_on_who_forbids_it(machine: Machine, trouble: str, severity: str, fix: str) -> None:
    found = [finding for finding in findings(machine(trouble), TRAY) if "cannot write" in finding.what]
    assert [(finding.severity, fix in finding.fix) for finding in found] == [(severity, True)]


def test_an_idle_card_is_no_fault_and_counts_with_what_it_can(machine: Machine) -> None:
    fleet = machine("pcie-idle,no-nvlink")
    assert grave(fleet) == []
    idle = [finding for finding in findings(fleet, TRAY) if "PCIe runs at" in finding.what]
    assert [(finding.gpus, finding.fix.startswith("Look again under load")) for finding in idle] == [
        ((0, 2, 3), True),
        ((1,), True),
    ]
    assert idle[1].what == "GPU 1: PCIe runs at 1.0 x1 now, and can run at 4.0 x16."
    assert {(road.label, road.bytes_per_s) for road in roads(fleet) if not road.label.endswith("sockets")} == {
        ("PCIe 4.0 x16 across one PCIe switch", 32e9 * 0.66)
    }
    beside = findings(machine("pcie-idle,no-nvlink,c2c"), TRAY)
    assert not [finding for finding in beside if "PCIe runs at" in finding.what]


@pytest.mark.parametrize(("trouble", "bare"), [("no-bridge", (0, 1, 2, 3)), ("one-pair-bridged", (2, 3))])
def test_a_bridge_that_nobody_fitted_is_not_broken(machine: Machine, trouble: str, bare: tuple[int, ...]) -> None:
    fleet = machine(trouble)
    assert grave(fleet) == []
    (said,) = [finding for finding in findings(fleet, TRAY) if "none seems to be fitted" in finding.what]
    assert (said.severity, said.gpus) == ("info", bare)
    assert "Drain" not in said.fix
    assert all(road.healthy_bytes_per_s == road.bytes_per_s for road in roads(fleet))


def test_soldered_links_that_are_all_down(machine: Machine) -> None:
    (broken,) = grave(machine("nvswitch,no-bridge"))
    assert broken.what == "No NVLink is up on GPU 0, GPU 1, GPU 2, GPU 3."
    assert "nvidia-fabricmanager" in broken.fix


@pytest.mark.parametrize(
    ("visible", "seen"),
    [("2,0", [0, 2]), ("", []), ("-1", []), ("1,9,2", [1]), ("GPU-0003,GPU-0001-aaaa", [1, 3])],
    ids=["numbers", "empty", "minus one", "ends at the first that is none", "UUIDs and their beginnings"],
)
def test_only_gpus_that_cuda_may_see_are_looked_at(machine: Machine, visible: str, seen: list[int]) -> None:
    fleet = machine("healthy", visible)
    assert [gpu.index for gpu in fleet.gpus] == seen
    said = " ".join(finding.what for finding in findings(fleet, TRAY))
    assert (f"{len(seen)} of 4 GPUs" if seen else "CUDA_VISIBLE_DEVICES hides all that there are") in said


def test_a_mig_instance_counts_as_its_gpu(machine: Machine) -> None:
    for visible, seen in (("MIG-of-three", [3]), ("MIG-GPU-0001-aaaa/1/0", [1]), ("MIG-unknown", [])):
        assert [gpu.index for gpu in machine("mig", visible).gpus] == seen
    assert machine("healthy", "0,1,2,3").visible is None


def test_the_example_says_that_it_is_one() -> None:
    first, second, *_ = findings(example_fleet(), TRAY)
    assert "not this machine" in first.what
    assert second.severity == "critical"


def test_a_gpu_alone_with_a_link_that_is_down() -> None:
    """Nobody to be joined to, so no road is lost."""
    (only,) = findings(Fleet((Gpu(0, "x", 1, links=(NvLink(0, active=False),)),)), TRAY)
    assert (only.severity, only.bytes_per_s) == ("info", None)
    assert only.what == "No NVLink is up on GPU 0, which is alone here."


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
