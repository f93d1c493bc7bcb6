"""How long a phase takes at best, and how long its KV is on the road: a model's work over a GPU's peaks.

What a GPU reaches of its peaks is an assumption, so it is an argument. `TYPICAL`: half of the FLOP/s in prefill
(DistServe's A100 coefficients give 0.5 to 0.8, Splitwise's Llama-2-70B on 8 GPUs 0.17 to 0.42), and 0.63 of the
memory bandwidth in decode (DistServe's coefficients, all rows). Launch overheads, queues and batching are the
simulator's business.
"""

from collections.abc import Sequence

import msgspec

from engine.fleet.catalog.hardware import FabricSpec, GpuSpec
from engine.fleet.catalog.models import ModelShape

WEIGHTS_SHARE = 0.8  # of a GPU's memory, at most: the rest is for KV and activations


class Reached(msgspec.Struct, frozen=True):
    """Parts of the peak FLOP/s and of the peak memory bandwidth."""

    compute: float = 0.5
    memory: float = 0.63


TYPICAL = Reached()


def prefill_s(
    model: ModelShape, gpu: GpuSpec, tokens: int, *, cached: int = 0, tp: int = 1, reached: Reached = TYPICAL
) -> float:
    """One prompt alone on `tp` GPUs: the slower of computing it and of reading the weights once."""
    compute_s = model.prefill_flops(tokens, cached) / (tp * gpu.bf16_flops_per_s * reached.compute)
    return max(compute_s, model.weight_bytes / (tp * gpu.memory_bytes_per_s * reached.memory))


def decode_step_s(
    model: ModelShape, gpu: GpuSpec, contexts: Sequence[int], *, tp: int = 1, reached: Reached = TYPICAL
) -> float:
    """One token for each of the contexts, each a number of tokens."""
    compute_s = model.decode_flops(contexts) / (tp * gpu.bf16_flops_per_s * reached.compute)
    return max(compute_s, model.decode_read_bytes(contexts) / (tp * gpu.memory_bytes_per_s * reached.memory))


def handoff_s(model: ModelShape, fabric: FabricSpec, tokens: int, *, tp: int = 1) -> float:
    """The KV of a prompt over the fabric, every GPU of `tp` sending its share over its own link."""
    return fabric.link.seconds(model.kv_bytes(tokens) // kv_shards(model, tp))


def kv_shards(model: ModelShape, tp: int) -> int:
    """Into how many parts tensor parallelism cuts the KV: a latent, or more GPUs than KV heads, is replicated."""
    return 1 if model.latent else min(tp, model.kv_heads)


def break_even_bytes_per_s(
    model: ModelShape, gpu: GpuSpec, tokens: int, *, tp: int = 1, overhead: float = 1.0, reached: Reached = TYPICAL
) -> float:
    """Bandwidth, of all links together, at which shipping takes `overhead` times as long as the prefill."""
    return model.kv_bytes(tokens) / (overhead * prefill_s(model, gpu, tokens, tp=tp, reached=reached))


def kv_capacity_tokens(model: ModelShape, gpu: GpuSpec, *, tp: int = 1, context: int = 2048, used: float = 0.9) -> int:
    """Tokens, in requests of `context` each, whose KV fits beside the weights.

    `used` of the memory may be taken (vLLM's default: 0.9); activations are left out.
    """
    room = tp * gpu.memory_bytes * used - model.weight_bytes
    per_token = model.kv_bytes(context) / context * tp / kv_shards(model, tp)
    return max(0, int(room / per_token))


def smallest_tp(model: ModelShape, gpu: GpuSpec) -> int:
    """The fewest GPUs, a power of two, over which the weights leave room for KV."""
    tp = 1
    while model.weight_bytes > WEIGHTS_SHARE * tp * gpu.memory_bytes:
        tp *= 2
    return tp
