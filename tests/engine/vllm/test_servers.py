"""What vLLM servers are started with, and that they start and end: with small programs in vLLM's place."""

import itertools
import os
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from engine.errors import BadInput, WorkerFailed
from engine.live.model.catalog import prepare
from engine.scenario import Deployment, ModelSpec
from engine.vllm.launch import free_ports, running, usable
from engine.vllm.run import run_vllm
from engine.vllm.servers import VllmServer, servers
from tests.disturbed import children
from tests.patience import comes

HEALTHY = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def made(deployment: Deployment, tmp_path: Path) -> list[VllmServer]:
    ports = tuple(range(9000, 9000 + 2 * deployment.workers))
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
    assert len({server.name for server in every}) == len({server.port for server in every}) == 5


def test_bad_input_is_said_before_anything_starts() -> None:
    with pytest.raises(BadInput, match="vllm python is '/no/python'"):
        usable("/no/python", split=False)
    with pytest.raises(BadInput, match="that has vllm"):
        usable(sys.executable, split=False)
    from engine.link import LinkSpec
    from engine.scenario import Scenario

    with pytest.raises(BadInput, match="not paced"):
        run_vllm(Scenario(link=LinkSpec(1e6)), python=sys.executable)


# ---- starting and ending


def stand_in(name: str, program: str, folder: Path) -> VllmServer:
    (port,) = free_ports(1)
    env = {"TMPDIR": str(folder / f"{name}-tmp")}
    return VllmServer(name, "", port, (sys.executable, "-c", program, str(port)), env)


def healthy(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.live
def test_servers_end_with_all_their_children(tmp_path: Path) -> None:
    before = children(os.getpid())
    with running([stand_in("a", HEALTHY, tmp_path), stand_in("b", HEALTHY, tmp_path)], tmp_path, healthy, print):
        assert len(children(os.getpid())) - len(before) >= 2
    assert comes(lambda: children(os.getpid()) == before)


@pytest.mark.live
def test_a_server_that_ends_says_why_and_takes_the_others_with_it(tmp_path: Path) -> None:
    before = children(os.getpid())
    broken = stand_in("b", "raise ValueError('no such model')", tmp_path)
    with (
        pytest.raises(WorkerFailed, match=r"vLLM's b ended: ValueError: no such model"),
        running([stand_in("a", HEALTHY, tmp_path), broken], tmp_path, lambda url: False, print),
    ):
        pass
    assert comes(lambda: children(os.getpid()) == before)
