"""Run a scenario on a real vLLM on this machine: start servers, watch them from inside, and end them."""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec

from engine.client.answer import NoAnswer
from engine.client.split import healthy, open_client, pieces
from engine.errors import BadInput
from engine.live.model.catalog import Prepared, prepare
from engine.live.process.run import make_requests
from engine.request import Request
from engine.scenario import Scenario
from engine.vllm.launch import Progress, free_ports, last_words, running, usable
from engine.vllm.raw import SAID_BY_CLIENT, Raw, parse
from engine.vllm.servers import SERVED, VllmServer, servers
from engine.vllm.translate import Translation, translate


def run_vllm(
    scenario: Scenario, prompts: Sequence[str] = (), *, python: str, progress: Progress = lambda says: None
) -> Translation:
    """Start vLLM as the scenario deploys it, send its workload, and end vLLM.

    `python`: the interpreter of an environment with vLLM. The handoff uses NIXL at the machine's own speed, so a paced
    link is rejected. Raises BadInput before anything starts, and WorkerFailed if a server fails.
    """
    split = scenario.deployment.kind == "disaggregated"
    if scenario.link.bandwidth_bytes_per_s is not None or scenario.link.latency_s:
        raise BadInput("link", scenario.link.bandwidth_bytes_per_s, "none for vLLM: its handoff is not paced here")
    asked = make_requests(scenario, prompts)
    found = usable(python, split=split)
    prepared = prepare(scenario.model)
    with tempfile.TemporaryDirectory(prefix="split-kitchen-vllm-") as scratch, one_file_of_weights(prepared) as model:
        folder = Path(scratch)
        link = folder / "model"
        link.symlink_to(model, target_is_directory=True)
        cores = tuple(sorted(os.sched_getaffinity(0)))
        ports = free_ports(2 * scenario.deployment.workers)
        started = servers(scenario.deployment, prepared, found, link, ports, cores)
        with running(started, folder, healthy, progress):
            progress("All vLLM servers are up")
            client = asyncio.run(_Client(started, scenario).send_all(asked))
        if any(line["k"] == "failed" for line in client):
            for server in started:
                progress(f"{server.name}: {last_words(server, folder)}")
        lines: list[Raw] = []
        for file in sorted(folder.glob("*.jsonl")):
            lines += parse(file.read_bytes().splitlines(keepends=True), file.name)
    lines += parse([msgspec.json.encode(line) + b"\n" for line in client], SAID_BY_CLIENT)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    translation = translate(lines, now)
    log = msgspec.structs.replace(translation.log, scenario=_as_run(scenario, translation.log.scenario))
    return msgspec.structs.replace(translation, log=log)


def _as_run(scenario: Scenario, seen: Scenario) -> Scenario:
    """The scenario with the transport and first token that vLLM used."""
    joined = {"transport": seen.deployment.transport, "first_token": "decode"}
    return msgspec.structs.replace(scenario, deployment=msgspec.structs.replace(scenario.deployment, **joined))


@contextmanager
def one_file_of_weights(prepared: Prepared) -> Iterator[str]:
    """A folder of the model for vLLM: a converted model has weights in two dtypes, and vLLM would load both."""
    halved = Path(prepared.folder, "model.bf16.safetensors")
    if not halved.exists():
        yield prepared.folder
        return
    weights = halved if prepared.variant == "bf16" else Path(prepared.folder, "model.safetensors")
    with tempfile.TemporaryDirectory(prefix="split-kitchen-model-") as folder:
        for file in Path(prepared.folder).iterdir():
            if file.suffix != ".safetensors":
                Path(folder, file.name).symlink_to(file)
        Path(folder, "model.safetensors").symlink_to(weights)
        yield folder


class _Client:
    """Sends requests on time to the servers of each role in turn, and records what a client sees."""

    def __init__(self, started: Sequence[VllmServer], scenario: Scenario) -> None:
        prefill = [server.url for server in started if server.role == "prefill"]
        self._prefill = cycle(prefill or [""])
        self._decode = cycle([server.url for server in started if server.role != "prefill"])
        self._users = scenario.workload.users
        self._lines: list[dict[str, Any]] = []

    async def send_all(self, asked: Sequence[Request]) -> list[dict[str, Any]]:
        """Send all requests; the client's raw lines, once all answers have ended."""
        zero_s = time.monotonic()
        self._note("zero", t0=zero_s)
        seats = asyncio.Semaphore(self._users or len(asked))
        async with open_client() as client, asyncio.TaskGroup() as group:
            for request in asked:
                if not self._users:
                    await asyncio.sleep(max(0.0, zero_s + request.arrival_s - time.monotonic()))
                await seats.acquire()
                group.create_task(self._send(client, request, seats))
        return self._lines

    def _note(self, kind: str, **fields: Any) -> None:
        self._lines.append({"k": kind, "t": time.monotonic(), "w": SAID_BY_CLIENT, **fields})

    async def _send(self, client: Any, request: Request, seats: asyncio.Semaphore) -> None:
        prefill, decode = next(self._prefill), next(self._decode)
        name = request.id
        self._note(
            "arrived", r=name, prompt=len(request.prompt_ids), most=request.max_output_tokens, text=request.prompt
        )
        try:
            number = 0
            async for text in pieces(client, prefill, decode, SERVED, request, lambda: self._note("prefilled", r=name)):
                self._note("token", r=name, i=number, text=text)
                number += 1
        except NoAnswer as why:
            self._note("failed", r=name, why=str(why))
        finally:
            seats.release()
