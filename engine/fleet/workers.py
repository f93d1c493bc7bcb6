"""A simulated worker from data alone: a model on GPUs by the roofline, and whatever KV fits beside the weights.

Two things are left out, in favour of many GPUs under one worker and of mixtures of experts alike: tensor parallelism
costs no communication, and every step reads all experts (true of large batches, too much for small ones).
"""

from engine.errors import BadInput
from engine.fleet.hardware import FabricSpec, GpuSpec
from engine.fleet.models import ModelShape
from engine.fleet.roofline import TYPICAL, Reached, kv_capacity_tokens, kv_shards, smallest_tp
from engine.link import LinkSpec
from engine.scenario import BLOCK_TOKENS
from engine.sim.cost import Hardware, ModelSize, RooflineCost
from engine.sim.station import WorkerSpec

MAX_RUNNING = 256  # vLLM's max_num_seqs


def worker_on(
    shape: ModelShape,
    card: GpuSpec,
    *,
    context: int,
    tp: int = 0,
    reached: Reached = TYPICAL,
    overlap: float = 1.0,
) -> WorkerSpec:
    """For requests of `context` tokens each, prompt and output. `tp` 0: as few GPUs as hold the model.

    Raises BadInput if not even one such request has room beside the weights.
    """
    tp = tp or smallest_tp(shape, card)
    room = kv_capacity_tokens(shape, card, tp=tp, context=context)
    if room < context:
        on = f"{tp} × {card.label}"
        raise BadInput("prompt and output tokens", context, f"at most {room:,} beside {shape.label} on {on}")
    per_token = shape.kv_bytes(context) / context
    size = ModelSize(
        parameters=shape.matmul_params,
        weight_bytes=shape.weight_bytes,
        kv_bytes_per_token=per_token * tp / kv_shards(shape, tp),  # what is not cut is read by every GPU
        layers=shape.layers,
        attention_width=shape.heads * shape.head_dim,
    )
    hardware = Hardware(card.bf16_flops_per_s, card.memory_bytes_per_s, tp, reached.compute, reached.memory)
    return WorkerSpec(
        RooflineCost(hardware, size, overlap),
        kv_blocks=room // BLOCK_TOKENS,
        kv_bytes_per_token=round(per_token),
        context_tokens=room,
        layers=shape.layers,
        max_running=MAX_RUNNING,
        gpus=tp,
    )


def link_of(shape: ModelShape, road: FabricSpec, tp: int) -> LinkSpec:
    """Of one worker: every GPU of it sends its share of the KV over its own road."""
    return LinkSpec(road.achieved_bytes_per_s * kv_shards(shape, tp), road.latency_s)
