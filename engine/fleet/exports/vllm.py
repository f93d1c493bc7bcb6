"""A plan as `vllm serve` commands, for vLLM 0.33.

Connectors and roles of that release: NixlConnector pulls; over PCIe, where UCX does not pull, NixlPushConnector pushes;
kv_producer and kv_consumer (kv_both is deprecated). Both sides need the connector: a decode worker without one silently
prefills again. Sources: vllm/config/kv_transfer.py, vllm/.../kv_connector/factory.py and v1/nixl.
"""

import json
import shlex

import msgspec

from engine.fleet.advisor.plan import WHOLE, Plan, gpu_of

VERSION = "0.33.0"
PORTS = {"worker": 8100, "prefill": 8100, "decode": 8400}
SIDE_CHANNEL = 5600
SIDE_CHANNEL_STEP = 100  # more than one worker has ranks
NODE_IP = '"$NODE_IP"'  # for the shell to fill in
ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}
ON_FAILURE = {"prefill": "fail", "decode": "recompute"}  # a lost handoff costs a second prefill, not an error


class Server(msgspec.Struct, frozen=True):
    """One `vllm serve` on one node. `arguments`: those after `vllm serve`; `str()`: the whole shell command."""

    role: str
    node: str
    env: dict[str, str]
    arguments: list[str]

    def __str__(self) -> str:
        env = [f"{name}={value if value == NODE_IP else shlex.quote(value)}" for name, value in self.env.items()]
        return " ".join([*env, "vllm serve", shlex.join(self.arguments)])


def servers(plan: Plan) -> list[Server]:
    """All servers of the plan. Roles share a node if the fabric ends at the node, and have separate ones otherwise."""
    made: list[Server] = []
    taken = 0  # GPUs
    for role, pool in plan.pools.items():
        apart = not on_one_node(plan)
        if apart:
            taken = 0
        for n in range(pool.replicas):
            node, first = divmod(taken, gpu_of(pool).node_gpus)
            if first + pool.tp > gpu_of(pool).node_gpus:  # a worker does not span nodes
                node, first = node + 1, 0
            taken = node * gpu_of(pool).node_gpus + first + pool.tp
            made.append(_server(plan, role, n, f"{role if apart else 'node'}-{node + 1}", first))
    return made


def arguments(plan: Plan, role: str) -> list[str]:
    """The arguments of a role's `vllm serve`, except its port."""
    pool = plan.pools[role]
    flags = [plan.model, "--tensor-parallel-size", str(pool.tp)]
    if role == "worker":
        if plan.chunk_tokens == WHOLE:
            return [*flags, "--no-enable-chunked-prefill"]
        return [*flags, "--enable-chunked-prefill", "--max-num-batched-tokens", str(plan.chunk_tokens)]
    return [*flags, "--kv-transfer-config", transfer_config(plan, role)]


def transfer_config(plan: Plan, role: str) -> str:
    """The JSON for --kv-transfer-config of vLLM and Dynamo."""
    connector = "NixlPushConnector" if plan.road.kind == "pcie" else "NixlConnector"
    config = {
        "kv_connector": connector,
        "kv_role": ROLES[role],
        "kv_load_failure_policy": ON_FAILURE[role],
    }
    return json.dumps(config, separators=(",", ":"))


def ucx_env(plan: Plan) -> dict[str, str]:
    """UCX's transports. TCP only if planned, so that a lost fabric is an error instead of silently slow."""
    transports = {
        "nvlink": "cuda_copy,cuda_ipc,sm,self",
        "pcie": "cuda_copy,cuda_ipc,sm,self",
        "rdma": "rc,cuda_copy,cuda_ipc,sm,self",
        "tcp": "tcp,cuda_copy,sm,self",
    }
    return {"UCX_TLS": transports[plan.road.kind]}


def on_one_node(plan: Plan) -> bool:
    """Whether the fabric joins only GPUs of one host. A rack of NVL72 counts as several hosts."""
    return plan.road.kind in ("nvlink", "pcie") and plan.fabric != "nvl72"


def script(plan: Plan) -> str:
    """A bash script. For several nodes it runs on each, with the node's name as its argument."""
    started: dict[str, list[str]] = {}
    for server in servers(plan):
        started.setdefault(server.node, []).append(f"{server} &")
    lines = [
        "#!/usr/bin/env bash",
        f"# {plan.verdict}: {plan.model} on {plan.gpus} GPUs, {plan.shape}, for vLLM {VERSION}.",
        *(f"# {line}" for line in _remarks(plan)),
        "set -euo pipefail",
    ]
    if plan.split and not on_one_node(plan):
        lines.append(': "${NODE_IP:?the address of this node, as the others reach it}"')
    if len(started) == 1:
        (commands,) = started.values()
        return "\n".join([*lines, *commands, "wait"]) + "\n"
    lines.append(f'case "${{1:?which node is this: {", ".join(started)}}}" in')
    for node, commands in started.items():
        lines += [f"{node})", *(f"  {command}" for command in commands), "  ;;"]
    return "\n".join([*lines, '*) echo "no such node: $1" >&2; exit 2 ;;', "esac", "wait"]) + "\n"


def _server(plan: Plan, role: str, n: int, node: str, first_gpu: int) -> Server:
    pool = plan.pools[role]
    env = {"CUDA_VISIBLE_DEVICES": ",".join(str(first_gpu + rank) for rank in range(pool.tp))}
    if plan.split:
        channel = SIDE_CHANNEL + SIDE_CHANNEL_STEP * (n + (plan.split[0].replicas if role == "decode" else 0))
        host = "127.0.0.1" if on_one_node(plan) else NODE_IP
        env |= {"VLLM_NIXL_SIDE_CHANNEL_HOST": host, "VLLM_NIXL_SIDE_CHANNEL_PORT": str(channel), **ucx_env(plan)}
    return Server(role, node, env, [*arguments(plan, role), "--port", str(PORTS[role] + n)])


def _remarks(plan: Plan) -> list[str]:
    if not plan.split:
        beside = ["vLLM computes a whole prompt beside the tokens of other requests, not in a step of its own."]
        return ["Put any load balancer in front of the ports.", *(beside if plan.chunk_tokens == WHOLE else [])]
    said = [
        "A router must send each request to a prefill worker first and pass its kv_transfer_params on:",
        "vllm-project/router, Dynamo's frontend, or for a trial toy_proxy_server.py in vLLM's git tree.",
    ]
    if plan.remote_above_tokens is not None:
        said.append(
            f"Only prompts above {plan.remote_above_tokens} uncached tokens should go there; Dynamo can do that."
        )
    return said
