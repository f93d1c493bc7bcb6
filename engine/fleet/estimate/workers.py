"""A simulated worker from catalog data alone: step times by the step cost, and the KV that fits beside the weights."""

from engine.errors import BadInput
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.catalog.hardware import FabricSpec, GpuSpec
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.roofline import kv_capacity_tokens, smallest_tp
from engine.fleet.estimate.step_cost import calibrated, kv_shards, step_cost
from engine.link import LinkSpec
from engine.scenario import BLOCK_TOKENS
from engine.sim.station import WorkerSpec


def worker_on(
    shape: ModelShape,
    card: GpuSpec,
    *,
    context: int,
    tp: int = 0,
    engine: str = "vllm",
    road: FabricSpec | None = None,
    reached: Calibration | None = None,
) -> WorkerSpec:
    """A worker for requests of `context` tokens each, prompt and output. `tp` 0: the fewest GPUs that hold the model.

    `road`: the link between the worker's GPUs (None: the GPU's own). Raises BadInput if not even one such request fits
    beside the weights.
    """
    tp = tp or smallest_tp(shape, card)
    room = kv_capacity_tokens(shape, card, tp=tp, context=context)
    if room < context:
        on = f"{tp} × {card.label}"
        raise BadInput("prompt and output tokens", context, f"at most {room:,} beside {shape.label} on {on}")
    return WorkerSpec(
        step_cost(shape, card, tp=tp, engine=engine, road=road, reached=reached),
        kv_blocks=max(1, room // BLOCK_TOKENS),
        kv_bytes_per_token=round(shape.kv_bytes(context) / context),
        context_tokens=room,
        layers=shape.layers,
        max_running=serving_engine(engine).running_on(card),
        gpus=tp,
        accept_s=(reached or calibrated(card, engine)).overhead.request_s,
    )


def link_of(shape: ModelShape, road: FabricSpec, tp: int) -> LinkSpec:
    """One worker's link: each of its `tp` GPUs sends its share of the KV over its own `road`."""
    return LinkSpec(road.achieved_bytes_per_s * kv_shards(shape, tp), road.latency_s)
