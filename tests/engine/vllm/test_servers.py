"""What vLLM servers are started with, and that they start and end: with small programs in vLLM's place."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import BadInput, WorkerFailed
from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.scenario import Deployment, ModelSpec, Scenario
from engine.vllm.launch import Running, usable
from engine.vllm.run import run_vllm
from engine.vllm.servers import VllmServer, servers
from tests.disturbed import children
from tests.patience import comes


def made(deployment: Deployment, tmp_path: Path) -> list[VllmServer]:
    ports = tuple(range(9000, 9000 + deployment.workers))
    return servers(deployment, prepare(ModelSpec("tiny-llama")), "python", tmp_path / "model", ports, (0, 1))


def flag(server: VllmServer, name: str) -> str:
    return dict(itertools.pairwise(server.command))[name]


def test_a_split_deployment_has_a_producer_and_a_consumer(tmp_path: Path) -> None:
    prefill, decode = made(Deployment("disaggregated"), tmp_path)
    assert [prefill.role, decode.role] == ["prefill", "decode"]
    assert '"kv_role": "kv_producer"' in flag(prefill, "--kv-transfer-config")
    assert '"kv_role": "kv_consumer"' in flag(decode, "--kv-transfer-config")
    assert prefill.env["VLLM_NIXL_SIDE_CHANNEL_PORT"] != decode.env["VLLM_NIXL_SIDE_CHANNEL_PORT"]
    assert prefill.env["SPLIT_KITCHEN_WATCH"] == str(tmp_path)


def test_the_chunk_is_the_token_budget_of_a_step(tmp_path: Path) -> None:
    budgets = {
        kind: flag(made(Deployment(kind, chunk=256), tmp_path)[0], "--max-num-batched-tokens")
        for kind in ("chunked", "colocated")
    }
    assert budgets == {"chunked": "256", "colocated": "2048"}  # the tiny model's context: every prompt is one step
    assert all("--kv-transfer-config" not in server.command for server in made(Deployment("chunked"), tmp_path))


def test_every_server_has_names_and_ports_of_its_own(tmp_path: Path) -> None:
    every = made(Deployment("disaggregated", workers=5, prefill_workers=2), tmp_path)
    assert len({server.name for server in every}) == len({server.socket for server in every}) == 5
    assert len({server.env["VLLM_NIXL_SIDE_CHANNEL_PORT"] for server in every}) == 5


def test_only_a_paced_deployment_is_kept_to_tcp(tmp_path: Path) -> None:
    prepared, ports = prepare(ModelSpec("tiny-llama")), (9000, 9001)
    for paced in (False, True):
        every = servers(Deployment(), prepared, "python", tmp_path / "model", ports, (0, 1), paced=paced)
        assert [server.env.get("UCX_TLS") for server in every] == (["tcp"] * 2 if paced else [None] * 2)


def test_bad_input_is_said_before_anything_starts() -> None:
    with pytest.raises(BadInput, match="vllm python is '/no/python'"):
        usable("/no/python", split=False)
    with pytest.raises(BadInput, match="that has vllm"):
        usable(sys.executable, split=False)
    for scenario, why in (
        (Scenario(link=LinkSpec(None, 0.1)), "only the bandwidth"),
        (Scenario(link=LinkSpec(10.0)), "none|at least"),
        (Scenario(Deployment(ship="layers")), "whole with vLLM"),
        (Scenario(Deployment(local_prefill_tokens=5)), "0 with vLLM"),
        (Scenario(Deployment("colocated", own_policy=True)), "left out with vLLM"),
    ):
        with pytest.raises(BadInput, match=why):
            run_vllm(scenario, python=sys.executable)


# ---- starting and ending

IDLE = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
IDLE += "print('up', flush=True); time.sleep(600)"


def stand_in(name: str, program: str, folder: Path) -> VllmServer:
    env = {"TMPDIR": str(folder / f"{name}-tmp")}
    return VllmServer(name, "", str(folder / f"{name}.sock"), (sys.executable, "-c", program), env)


def up(socket: str) -> bool:
    log = Path(socket).with_suffix(".log")
    return log.exists() and "up" in log.read_text()


@pytest.mark.live
def test_servers_end_with_all_their_children(tmp_path: Path) -> None:
    before = children(os.getpid())
    running = Running([stand_in("a", IDLE, tmp_path), stand_in("b", IDLE, tmp_path)], tmp_path, up)
    assert comes(running.up)
    (keeper,) = set(children(os.getpid())) - set(before)
    started = children(keeper)
    assert len(started) == 2
    running.close()
    assert children(os.getpid()) == before
    assert comes(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))  # whoever adopts them reaps them
    assert tmp_path.exists()


# As vLLM does, it takes its memory off the list by which Python would remove it.
WITH_MEMORY = (
    "import time; from multiprocessing import get_context; from multiprocessing.resource_tracker import unregister;"
    "from multiprocessing.shared_memory import SharedMemory; memory = SharedMemory(create=True, size=64);"
    "unregister(memory._name, 'shared_memory'); lock = get_context('spawn').Lock(); name = lock._semlock.name;"
    "unregister(name, 'semaphore'); print('up', memory.name, 'sem.' + name[1:], flush=True); time.sleep(600)"
)


@pytest.mark.live
@pytest.mark.parametrize("killed", ["nobody", "server", "keeper", "owner"])
def test_no_shared_memory_is_left_whoever_is_killed(tmp_path: Path, killed: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    program = (
        "import os, sys, time; from pathlib import Path; from engine.errors import WorkerFailed;"
        "from engine.vllm.launch import Running; from tests.engine.vllm.test_servers import WITH_MEMORY, stand_in, up;"
        "folder = Path(sys.argv[1]); running = Running([stand_in('a', WITH_MEMORY, folder)], folder, up)\n"
        "while not running.up(): time.sleep(0.1)\n"
        "print(running._keeper.pid, *(folder / 'a.log').read_text().split()[1:], flush=True); sys.stdin.readline()\n"
        "running.close()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    keeper, *names = owner.stdout.readline().split()
    server = children(int(keeper))[0]
    memory, lock = (Path("/dev/shm", name) for name in names)
    assert memory.exists()
    assert lock.exists()
    if killed != "nobody":
        os.kill({"server": server, "keeper": int(keeper), "owner": owner.pid}[killed], signal.SIGKILL)
    owner.communicate("end\n")
    assert comes(lambda: not memory.exists() and not lock.exists())
    assert comes(lambda: not Path(f"/proc/{server}").exists())


TAKES_MORE = (
    "import os, time; from multiprocessing.resource_tracker import unregister;"
    "from multiprocessing.shared_memory import SharedMemory; held = []\n"
    "for n in range(20_000):\n"
    "    held.append(SharedMemory(f'starts-{os.getpgrp()}-{os.getpid()}-{n}', create=True, size=64))\n"
    "    unregister(held[-1]._name, 'shared_memory')\n"
    "time.sleep(600)"
)


@pytest.mark.live
def test_no_shared_memory_is_left_of_a_server_whose_keeper_is_killed_while_it_starts(tmp_path: Path) -> None:
    running = Running([stand_in(name, TAKES_MORE, tmp_path) for name in "abcd"], tmp_path, lambda socket: False)
    keeper = running._keeper.pid

    def taken() -> list[Path]:
        return list(Path("/dev/shm").glob(f"starts-{keeper}-*"))

    assert comes(lambda: len(taken()) > 200)
    os.kill(keeper, signal.SIGKILL)
    running.close()
    assert not taken()


@pytest.mark.live
def test_a_server_that_ends_says_why_and_takes_the_others_with_it(tmp_path: Path) -> None:
    before = children(os.getpid())
    broken = stand_in("b", "raise ValueError('no such model')", tmp_path)
    running = Running([stand_in("a", IDLE, tmp_path), broken], tmp_path, lambda socket: False)
    with pytest.raises(WorkerFailed, match=r"vLLM's b ended: ValueError: no such model"):
        comes(running.up)
    running.close()
    assert comes(lambda: children(os.getpid()) == before)


@pytest.mark.live
def test_nothing_is_left_of_an_owner_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    program = (
        "import sys, time; from pathlib import Path; from engine.vllm.launch import Running;"
        "from tests.engine.vllm.test_servers import IDLE, stand_in, up; folder = Path(sys.argv[1]);"
        "running = Running([stand_in('a', IDLE, folder)], folder, up)\n"
        "while not running.up(): time.sleep(0.1)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    (keeper,) = children(owner.pid)
    left = {keeper, *children(keeper)}
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert comes(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
    assert not folder.exists()
