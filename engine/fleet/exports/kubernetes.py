"""A plan as Kubernetes manifests of plain vLLM: for each role a pool of nodes, a Deployment on it, and a Service.

If the fabric ends at the node (NVLink, PCIe), both roles share one pod and one container: in separate pods they would
not see each other's GPUs or processes, and UCX would silently fall back to TCP (vllm PR 55906, nccl issue 1781). The
manifests have no router: see vllm.py. Dynamo's components also use `pod_spec`.
"""

from typing import Any

import yaml

from engine.fleet.advisor.plan import Plan, gpu_of
from engine.fleet.exports import vllm

IMAGE = f"vllm/vllm-openai:v{vllm.VERSION}"
SHM = "16Gi"
GRACE_S = 120  # longer than the 30 s for which prefill keeps blocks that have not been fetched
HTTP_PORT = 8000
POOL_LABEL = "split-kitchen/pool"
Manifest = dict[str, Any]


def manifests(plan: Plan) -> list[Manifest]:
    """Deployments and Services. Prefill's Service is headless, since decode reads from one particular pod."""
    if plan.split and vllm.on_one_node(plan):
        return _one_pod(plan)
    return [made for role in plan.pools for made in (_deployment_of(plan, role), _service_of(plan, role))]


def manifests_yaml(plan: Plan) -> str:
    """`manifests` as YAML, with comments at the top."""
    head = f"# {plan.verdict}: {plan.model}, {plan.shape}. Never tried on a cluster: check labels and image.\n"
    if not (plan.split and vllm.on_one_node(plan)):
        head += f"# Label the nodes of each pool first: kubectl label node NAME {POOL_LABEL}={'|'.join(plan.pools)}\n"
    return head + dump(*manifests(plan))


def dump(*documents: Manifest) -> str:
    """YAML with each argument on one line, however long it is."""
    text: str = yaml.safe_dump_all(documents, sort_keys=False, width=10_000)
    return text


def pod_spec(plan: Plan, role: str, container: Manifest) -> Manifest:
    """The pod of a role's worker: where it may run, and what its container needs."""
    pool = plan.pools[role]
    selector = {POOL_LABEL: role} | product(plan, role)
    spec = _gpu_pod(plan, pool.tp, selector, container)
    if plan.split:
        spec["affinity"] = {"podAffinity": _beside(role)}
    return spec


def labels(role: str) -> dict[str, str]:
    """The labels of a role's pods."""
    return {"app": "split-kitchen", "role": role}


def env(plan: Plan) -> list[Manifest]:
    """The container's environment. NIXL's side channel gets the pod's address, so that other pods can reach it."""
    if not plan.split:
        return []
    own = {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return [own, *({"name": name, "value": value} for name, value in vllm.ucx_env(plan).items())]


# ---- pods


def _gpu_pod(plan: Plan, gpus: int, selector: dict[str, str], container: Manifest) -> Manifest:
    limits = {"nvidia.com/gpu": str(gpus)}
    if plan.split and plan.road.kind == "rdma":
        limits["rdma/ib"] = str(gpus)
    needs: Manifest = {
        "resources": {"limits": limits, "requests": dict(limits)},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    if plan.split:
        needs["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}  # to pin memory
    return {
        "nodeSelector": selector,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "terminationGracePeriodSeconds": GRACE_S,
        "containers": [{**container, **needs}],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHM}}],
    }


def product(plan: Plan, role: str) -> dict[str, str]:
    """The node label that NVIDIA's GPU feature discovery sets; empty for other vendors' GPUs."""
    product = gpu_of(plan.pools[role]).nvml.replace(" ", "-")
    return {"nvidia.com/gpu.product": product} if product else {}


def _beside(role: str) -> Manifest:
    """In the other role's zone. Only prefill requires it: if both did, neither could start first."""
    other = {"prefill": "decode", "decode": "prefill"}[role]
    term = {"labelSelector": {"matchLabels": labels(other)}, "topologyKey": "topology.kubernetes.io/zone"}
    if role == "prefill":
        return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


# ---- Deployments and Services


def _deployment_of(plan: Plan, role: str) -> Manifest:
    container: Manifest = {
        "name": "main",
        "image": IMAGE,
        "args": [*vllm.arguments(plan, role), "--port", str(HTTP_PORT)],
        "env": env(plan),
        "ports": [{"name": name, "containerPort": port} for name, port in _ports(plan).items()],
        "readinessProbe": {"httpGet": {"path": "/health", "port": HTTP_PORT}, "periodSeconds": 5},
    }
    return _deployment(f"vllm-{role}", role, plan.pools[role].replicas, pod_spec(plan, role, container))


def _service_of(plan: Plan, role: str) -> Manifest:
    return _service(f"vllm-{role}", role, _ports(plan), headless=role == "prefill")


def _one_pod(plan: Plan) -> list[Manifest]:
    started = vllm.servers(plan)
    ports = {f"{s.role}-{n}": int(s.arguments[-1]) for n, s in enumerate(started)}
    container: Manifest = {
        "name": "main",
        "image": IMAGE,
        "command": ["bash", "-c", vllm.script(plan)],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
    }
    pod = _gpu_pod(plan, plan.gpus, product(plan, "prefill"), container)
    return [_deployment("vllm", "both", 1, pod), _service("vllm", "both", ports, headless=False)]


def _deployment(name: str, role: str, replicas: int, pod: Manifest) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels(role)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels(role)},
            "template": {"metadata": {"labels": labels(role)}, "spec": pod},
        },
    }


def _service(name: str, role: str, ports: dict[str, int], *, headless: bool) -> Manifest:
    spec: Manifest = {"selector": labels(role), "ports": [{"name": n, "port": port} for n, port in ports.items()]}
    if headless:
        spec["clusterIP"] = "None"
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _ports(plan: Plan) -> dict[str, int]:
    return {"http": HTTP_PORT, "nixl": vllm.SIDE_CHANNEL} if plan.split else {"http": HTTP_PORT}
