"""Serving engines: how they order prefill and decode, and what they allow in one step."""

import msgspec

from engine.fleet.catalog.hardware import GpuSpec
from engine.fleet.catalog.tables import named

LARGE_BYTES, LARGEST_BYTES = 70 * 2**30, 160 * 2**30  # of a GPU's memory: from here on defaults grow


class EngineSpec(msgspec.Struct, frozen=True):
    """`mixes`: a step may hold decode rows beside a piece of a prompt; otherwise prompts go first, alone.

    `max_running`: requests that decode side by side, on a small GPU, on one from 70 GiB on, on one from 160 GiB on.
    `chunk_tokens`: the default token budget of a step, likewise. `pushes`: prefill samples the first token and sends KV
    as it is made. `costs_like`: whose overhead in calibration.toml it has.
    """

    name: str
    label: str
    mixes: bool
    max_running: tuple[int, int, int]
    chunk_tokens: tuple[int, int, int]
    pushes: bool
    costs_like: str
    source: str

    def running_on(self, card: GpuSpec) -> int:
        return self.max_running[_size(card)]

    def chunk_on(self, card: GpuSpec) -> int:
        return self.chunk_tokens[_size(card)]


def _size(card: GpuSpec) -> int:
    """As vLLM sorts GPUs: an A100 counts as small."""
    if card.memory_bytes < LARGE_BYTES or card.generation == "ampere":
        return 0
    return 1 if card.memory_bytes < LARGEST_BYTES else 2


_VLLM = {"max_running": (256, 1024, 1024), "chunk_tokens": (2048, 8192, 16_384)}
_SGLANG = {"max_running": (2048, 2048, 2048), "chunk_tokens": (4096, 8192, 16_384)}
_TRTLLM = {"max_running": (2048, 2048, 2048), "chunk_tokens": (8192, 8192, 8192)}
ENGINES = {
    engine.name: engine
    for engine in (
        EngineSpec("vllm", "vLLM", True, **_VLLM, pushes=False, costs_like="vllm", source="vllm/engine/arg_utils.py"),
        EngineSpec("sglang", "SGLang", False, **_SGLANG, pushes=True, costs_like="sglang", source="srt/server_args.py"),
        EngineSpec("dynamo", "Dynamo", True, **_VLLM, pushes=False, costs_like="vllm", source="its workers run vLLM"),
        EngineSpec("trtllm", "TensorRT-LLM", True, **_TRTLLM, pushes=True, costs_like="trtllm", source="llm_args.py"),
    )
}


def serving_engine(name: str) -> EngineSpec:
    """By name. Raises BadInput."""
    return named("engine", name, ENGINES)
