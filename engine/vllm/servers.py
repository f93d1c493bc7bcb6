"""A deployment as vLLM servers on this machine's cores: each one's command and environment. Starts nothing.

vLLM's scheduler always does chunked prefill: with a token budget above every prompt it is co-located, with a smaller
one chunked. NixlConnector, which pulls, joins a prefill and a decode server. Requests come in through files in place of
ports: nobody else can take them, and they reach into another network namespace.
"""

import json
import os
import sys
from pathlib import Path

import msgspec

from engine.live.model.catalog import Prepared
from engine.scenario import Deployment

PLUGIN = Path(__file__).with_name("plugin")
SERVED = "kitchen"
LONGEST = 4096  # tokens of a sequence
SEQUENCES = 16
KV_GIB = "1"
OVER_TCP = {"UCX_TLS": "tcp", "UCX_NET_DEVICES": "lo"}
ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}


class VllmServer(msgspec.Struct, frozen=True):
    """One vLLM server: `command` with `env` added to the environment; it listens on the Unix socket `socket`."""

    name: str
    role: str  # "prefill", "decode" or "" for both
    socket: str
    command: tuple[str, ...]
    env: dict[str, str]


def servers(
    deployment: Deployment,
    prepared: Prepared,
    python: str,
    folder: Path,
    ports: tuple[int, ...],
    cores: tuple[int, ...],
    *,
    paced: bool = False,
) -> list[VllmServer]:
    """All servers of the deployment. `ports`: one for each worker. `cores` are used in turn, one for each server.

    `folder` has the model's weights in one file; the servers write to `folder.parent`. `paced`: KV goes over TCP on the
    loopback device, where `engine.vllm.road` can pace it; else by whichever way UCX prefers.
    """
    roles = [""] * deployment.workers
    if deployment.kind == "disaggregated":
        roles = ["prefill"] * deployment.prefill_workers + ["decode"] * deployment.decode_workers
    made = []
    for number, role in enumerate(roles):
        name = f"{role or 'worker'}-{number}"
        core = cores[number % len(cores)]
        arguments = {
            "model": str(folder),
            "served-model-name": SERVED,
            "uds": str(folder.parent / f"{name}.sock"),
            "dtype": prepared.dtype,
            "max-model-len": str(min(LONGEST, prepared.context_tokens)),
            "max-num-seqs": str(SEQUENCES),
            "max-num-batched-tokens": str(_budget(deployment, prepared)),
        }
        flags = [part for key, value in arguments.items() for part in (f"--{key}", value)]
        flags += ["--enforce-eager", "--no-enable-prefix-caching"]
        if role:
            transfer = {
                "kv_connector": "NixlConnector",
                "kv_role": ROLES[role],
                "kv_buffer_device": "cpu",
                "engine_id": name,
            }
            flags += ["--kv-transfer-config", json.dumps(transfer)]
        command = ("taskset", "-c", str(core), python, "-m", "vllm.entrypoints.openai.api_server", *flags)
        env = _env(name, core, ports[number], folder.parent) | (OVER_TCP if paced else {})
        made.append(VllmServer(name, role, arguments["uds"], command, env))
    return made


def _budget(deployment: Deployment, prepared: Prepared) -> int:
    """Tokens of one step. vLLM needs at least as many as sequences."""
    return max(SEQUENCES, deployment.chunk if deployment.kind == "chunked" else min(LONGEST, prepared.context_tokens))


def _env(name: str, core: int, side_port: int, folder: Path) -> dict[str, str]:
    """Each server has its own folder for temporary files, since a killed one leaves sockets behind."""
    return {
        "PYTHONPATH": os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "SPLIT_KITCHEN_WATCH": str(folder),
        "SPLIT_KITCHEN_WATCH_NAME": name,
        "TMPDIR": str(folder / f"{name}-tmp"),
        "VLLM_CPU_OMP_THREADS_BIND": str(core),
        "VLLM_CPU_KVCACHE_SPACE": KV_GIB,
        "VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.1",
        "VLLM_NIXL_SIDE_CHANNEL_PORT": str(side_port),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
