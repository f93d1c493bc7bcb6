"""What a container's limits do: on real cgroups where they can be made, and on written ones of both versions."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import WorkerFailed
from engine.link import LinkSpec
from engine.live import cgroup
from engine.live.cgroup import cpu_limit, memory_limit_bytes
from engine.live.model.catalog import prepare
from engine.live.process.front import Front
from engine.scenario import Deployment, ModelSpec
from tests.cgroups import limited
from tests.patience import PATIENCE_S

ASK = (
    "from engine.live.process.run import machine; from engine.live.machine.doctor import _memory_bytes;"
    "import json; print(json.dumps([machine(), _memory_bytes()]))"
)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a membership and files of cgroups, and have them read."""

    def write(membership: str, files: dict[str, str]) -> None:
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            file = tmp_path / "mounted" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(cgroup, "MOUNTED", tmp_path / "mounted")

    return write


V1 = "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n"
V1_NONE = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
V1_NONE |= {"memory/memory.limit_in_bytes": "9223372036854771712\n"}


@pytest.mark.parametrize(
    ("membership", "files", "cores", "memory"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n", "memory.max": "4294967296\n"}, 1.5, 2**32),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, math.inf, math.inf),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "200000 100000\n"}, 0.5, math.inf),
        ("0::/a/b\n", {"a/b/memory.max": "1000000\n", "a/memory.max": "2000000\n"}, math.inf, 1e6),
        ("0::/seen/by/the/host\n", {"cpu.max": "100000 50000\n"}, 2.0, math.inf),
        ("0::/../../elsewhere\n", {"cpu.max": "100000 50000\n"}, 2.0, math.inf),
        (V1, V1_NONE, math.inf, math.inf),
        (
            V1,
            V1_NONE | {"cpu/docker/abc/cpu.cfs_quota_us": "50000", "cpu/docker/abc/cpu.cfs_period_us": "100000"},
            0.5,
            math.inf,
        ),
        (V1, V1_NONE | {"memory/docker/abc/memory.limit_in_bytes": "1073741824"}, math.inf, 2**30),
        (V1, {"memory/docker/abc/memory.limit_in_bytes": "1000", "cpu/cpu.cfs_quota_us": "odd"}, math.inf, 1000),
        ("", {}, math.inf, math.inf),
    ],
)
def test_limits_as_both_versions_write_them(
    membership: str, files: dict[str, str], cores: float, memory: float, written: Any
) -> None:
    written(membership, files)
    assert (cpu_limit(), memory_limit_bytes()) == (cores, memory)


def test_without_cgroups_nothing_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "none")
    assert cpu_limit() == memory_limit_bytes() == math.inf


# ---- real ones


@pytest.mark.live
def test_the_machine_is_what_a_container_has_of_it() -> None:
    with limited(cores=0.5, memory_bytes=1 << 30) as inside:
        ran = subprocess.run([*inside, sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    said, memory = json.loads(ran.stdout)
    assert said.endswith(", 0.5 cores")
    assert memory == 1 << 30


@pytest.mark.live
def test_workers_with_too_little_cpu_time_blame_nobody_else() -> None:
    options = ("--model", "tiny-llama", "--requests", "4", "--prompt-tokens", "400", "--output-tokens", "60")
    program = [sys.executable, "-c", "from lab.web.cli import main; main()", "run", *options, "--ignore-eos"]
    with limited(cores=0.5) as inside:
        ran = subprocess.run([*inside, *program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    assert "since 2 workers share 0.5 cores here" in " ".join(ran.stdout.split())


@pytest.mark.live
def test_workers_that_run_out_of_memory_are_named_with_the_likely_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Killed by the kernel, as in a container with too small a limit."""
    prepare(ModelSpec("tiny-llama", "fp32"))  # a process of its own makes it, the first time
    with limited(memory_bytes=40 << 20) as inside:
        program = tmp_path / "python"
        program.write_text(f'#!/bin/sh\nset -- {sys.executable} "$@"\n{inside[2]}\n')
        program.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(program))
        with (
            Front(Deployment("colocated", 1), LinkSpec(), ModelSpec("tiny-llama", "fp32")) as front,
            pytest.raises(WorkerFailed, match=r"was killed; Linux does that when memory runs out\.$"),
        ):
            front.start()
    assert "Traceback" not in capfd.readouterr().err
