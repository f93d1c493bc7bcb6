"""A simulated worker from data alone: a model on GPUs by the roofline, and whatever KV fits beside the weights.

Every step reads all experts of a mixture, which is true of large batches and too much for small ones. What several GPUs
under one worker cost is the caller's: `worker_on` has them cost no communication, the advisor (candidates.py) does not.
"""

from engine.errors import BadInput
from engine.fleet.catalog.hardware import FabricSpec, GpuSpec
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.roofline import TYPICAL, Reached, kv_capacity_tokens, kv_shards, smallest_tp
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
    hardware = Hardware(card.bf16_flops_per_s, card.memory_bytes_per_s, tp, reached.compute, reached.memory)
    return worker_with(RooflineCost(hardware, model_size(shape, tp, context), overlap), shape, tp, room, context)


def worker_with(cost: RooflineCost, shape: ModelShape, tp: int, room_tokens: int, context: int) -> WorkerSpec:
    """The worker whose steps take `cost` and that holds the KV of `room_tokens`."""
    return WorkerSpec(
        cost,
        kv_blocks=max(1, room_tokens // BLOCK_TOKENS),
        kv_bytes_per_token=round(shape.kv_bytes(context) / context),
        context_tokens=max(1, room_tokens),
        layers=shape.layers,
        max_running=MAX_RUNNING,
        gpus=tp,
    )


def model_size(shape: ModelShape, tp: int, context: int) -> ModelSize:
    """On `tp` GPUs, for requests of `context` tokens: KV that tensor parallelism does not cut is read by every GPU."""
    return ModelSize(
        parameters=shape.matmul_params,
        weight_bytes=shape.weight_bytes,
        kv_bytes_per_token=shape.kv_bytes(context) / context * tp / kv_shards(shape, tp),
        layers=shape.layers,
        attention_width=shape.heads * shape.head_dim,
    )


def link_of(shape: ModelShape, road: FabricSpec, tp: int) -> LinkSpec:
    """Of one worker: every GPU of it sends its share of the KV over its own road."""
    return LinkSpec(road.achieved_bytes_per_s * kv_shards(shape, tp), road.latency_s)
