"""Serving engines: how they order prefill and decode, and what they allow in one step."""

import msgspec

from engine.fleet.catalog.hardware import GpuSpec
from engine.fleet.catalog.tables import named

LARGE_BYTES, LARGEST_BYTES = 70 * 2**30, 160 * 2**30  # GPU memory from which engines' defaults are larger


class EngineSpec(msgspec.Struct, frozen=True):
    """`mixes`: a step may have both decode rows and a chunk of a prompt; otherwise prompts run first, in own steps.

    `max_running`: how many requests decode at once on a small GPU, one from 70 GiB, and one from 160 GiB.
    `chunk_tokens`: the default token budget of a step on these. `pushes`: prefill samples the first token and sends KV
    as it is computed. `costs_like`: the engine in calibration.toml with the same overhead.
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
        """How many requests decode at once on this GPU, by default."""
        return self.max_running[_size(card)]

    def chunk_on(self, card: GpuSpec) -> int:
        """The default token budget of a step on this GPU."""
        return self.chunk_tokens[_size(card)]


def _size(card: GpuSpec) -> int:
    """The size class, as in vLLM: an A100 counts as small."""
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
    """An engine by name. Raises BadInput."""
    return named("engine", name, ENGINES)
