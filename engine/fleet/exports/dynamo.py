"""A plan as a Dynamo graph deployment and its planner's settings, for Dynamo 1.6 on Kubernetes.

Dynamo supports NixlConnector, MooncakeConnector and LMCacheMPConnector and rejects others
(dynamo/vllm/.../kv_connector_protocols.py), so it cannot run a plan over PCIe, which needs NixlPushConnector.
The structure is that of the release's own template (dynamo/profiler/templates/dgd/vllm). That template sets
--kv-transfer-config for prefill only and leaves the rest to the profiler; without the profiler, decode needs it too, or
it prefills again. Planner settings are the fields of dynamo.planner.config.planner_config.PlannerConfig.
"""

import json
from typing import Any

from engine.errors import BadInput
from engine.fleet.advisor.plan import Plan
from engine.fleet.exports import kubernetes, vllm

VERSION = "1.6.1"
IMAGE = f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:{VERSION}"
REUSED_SHARE = 0.7  # Dynamo's default: below this share of uncached tokens a prompt stays with decode
NAME = "split-kitchen"


def obstacle(plan: Plan) -> str:
    """Why Dynamo cannot run this plan; empty if it can."""
    if plan.split and plan.road.kind == "pcie":
        return f"Dynamo {VERSION} does not support NixlPushConnector, and over PCIe NixlConnector falls back to TCP."
    return ""


def deployment(plan: Plan) -> dict[str, Any]:
    """The plan as a DynamoGraphDeployment. Raises BadInput if Dynamo cannot run it."""
    if obstacle(plan):
        raise BadInput("fabric", plan.fabric, f"one that Dynamo can pull over. {obstacle(plan)}")
    components = [_frontend(plan), *(_worker(plan, role) for role in plan.pools)]
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": NAME},
        "spec": {"components": components},
    }


def deployment_yaml(plan: Plan) -> str:
    """`deployment` as YAML, with a comment at the top. Raises BadInput."""
    head = f"# {plan.verdict}: {plan.model}, {plan.shape}, for Dynamo {VERSION}. Never tried on a cluster.\n"
    if plan.split and vllm.on_one_node(plan):
        head += (
            "# NVLink between pods needs a shared PID namespace (hostPID below), and both pods seeing all GPUs.\n"
            "# UCX_TLS excludes TCP, so without these workers fail instead of running slowly.\n"
        )
    return head + kubernetes.dump(deployment(plan))


def frontend_arguments(plan: Plan) -> list[str]:
    """With the verdict "conditional", the decode worker itself prefills short or mostly cached prompts."""
    if plan.remote_above_tokens is None:
        return []
    policy = {
        "policy": "isl_bounding",
        "eff_isl_threshold": plan.remote_above_tokens,
        "eff_isl_ratio_threshold": REUSED_SHARE,
    }
    config = json.dumps(policy, separators=(",", ":"))
    return ["--router-mode", "kv", "--router-conditional-disagg", "--router-conditional-disagg-config", config]


def worker_arguments(plan: Plan, role: str) -> list[str]:
    """The arguments of `python3 -m dynamo.vllm` for a role of the plan."""
    model, *flags = vllm.arguments(plan, role)
    mode = [] if role == "worker" else ["--disaggregation-mode", role]
    return ["--model", model, *mode, *flags]


def planner_settings(plan: Plan) -> dict[str, Any]:
    """Settings for Dynamo's planner, which adds and removes replicas within the plan's GPUs to meet TTFT and ITL.

    It starts in advisory mode: it only reports what it would do, until someone has checked its decisions.
    """
    settings: dict[str, Any] = {
        "mode": "disagg" if plan.split else "agg",
        "backend": "vllm",
        "model_name": plan.model,
        "optimization_target": "sla",
        "ttft_ms": plan.ttft_slo_s * 1e3,
        "itl_ms": plan.itl_slo_s * 1e3,
        "max_gpu_budget": plan.gpus,
        "min_endpoint": 1,
        "advisory": True,
    }
    if plan.split:
        prefill, decode = plan.split
        settings |= {"prefill_engine_num_gpu": prefill.tp, "decode_engine_num_gpu": decode.tp}
    else:
        settings["decode_engine_num_gpu"] = plan.pools["worker"].tp
    return settings


def planner_yaml(plan: Plan) -> str:
    """`planner_settings` as YAML, with the command that reads it."""
    return "# python3 -m dynamo.planner --config THIS_FILE\n" + kubernetes.dump(planner_settings(plan))


def _frontend(plan: Plan) -> dict[str, Any]:
    command = {"command": ["python3"], "args": ["-m", "dynamo.frontend", *frontend_arguments(plan)]}
    return _component("Frontend", "frontend", 1, {"containers": [_container(command)]})


def _worker(plan: Plan, role: str) -> dict[str, Any]:
    command = {"command": ["python3", "-m", "dynamo.vllm"], "args": worker_arguments(plan, role)}
    environment = kubernetes.env(plan)
    container = _container(command | ({"env": environment} if environment else {}))
    spec = kubernetes.pod_spec(plan, role, container)
    if plan.split and vllm.on_one_node(plan):
        spec |= {"hostPID": True, "nodeSelector": kubernetes.product(plan, role)}
        del spec["affinity"]
    return _component(role, role, plan.pools[role].replicas, spec)


def _component(name: str, kind: str, replicas: int, spec: dict[str, Any]) -> dict[str, Any]:
    template = {"metadata": {"labels": kubernetes.labels(name.lower())}, "spec": spec}
    return {"name": name, "type": kind, "replicas": replicas, "podTemplate": template}


def _container(command: dict[str, Any]) -> dict[str, Any]:
    return {"name": "main", "image": IMAGE, "envFrom": [{"secretRef": {"name": "hf-token-secret"}}], **command}
