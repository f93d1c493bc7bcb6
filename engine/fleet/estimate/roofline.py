"""How long one prompt, one decode step and one handoff take, by the step cost, when nothing else is running."""

from collections.abc import Sequence

from engine.fleet.catalog.hardware import FabricSpec, GpuSpec
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.step_cost import kv_shards, step_cost

WEIGHTS_SHARE = 0.8  # of a GPU's memory, at most: the rest is for KV and activations
CRAMPED = 0.86  # the largest share at which a worker still works, with room for few prompts at a time


def prefill_s(
    model: ModelShape, gpu: GpuSpec, tokens: int, *, cached: int = 0, tp: int = 1, engine: str = "vllm"
) -> float:
    """One prompt of `tokens`, the first `cached` with KV already, alone on `tp` GPUs in one step."""
    return step_cost(model, gpu, tp=tp, engine=engine).step_s([(cached, tokens - cached)], 0, 0)


def decode_step_s(
    model: ModelShape, gpu: GpuSpec, contexts: Sequence[int], *, tp: int = 1, engine: str = "vllm"
) -> float:
    """One decode step for a batch; `contexts` has each request's tokens so far."""
    return step_cost(model, gpu, tp=tp, engine=engine).step_s((), len(contexts), sum(contexts))


def handoff_s(model: ModelShape, fabric: FabricSpec, tokens: int, *, tp: int = 1) -> float:
    """A prompt's KV over the fabric; each of the `tp` GPUs sends its share over its own link."""
    return fabric.link.seconds(model.kv_bytes(tokens) // kv_shards(model, tp))


def kv_capacity_tokens(model: ModelShape, gpu: GpuSpec, *, tp: int = 1, context: int = 2048, used: float = 0.9) -> int:
    """How many tokens' KV fits beside the weights, in requests of `context` tokens each.

    `used`: the share of memory that may be used (vLLM's default: 0.9). Activations are not counted.
    """
    room = tp * gpu.memory_bytes * used - model.weight_bytes
    per_token = model.kv_bytes(context) / context * tp / kv_shards(model, tp)
    return max(0, int(room / per_token))


def smallest_tp(model: ModelShape, gpu: GpuSpec, share: float = WEIGHTS_SHARE) -> int:
    """The fewest GPUs, a power of two, whose memory the weights fill to at most `share`."""
    tp = 1
    while model.weight_bytes > share * tp * gpu.memory_bytes:
        tp *= 2
    return tp
