"""The step cost of a model on GPUs under an engine. The simulator, the advisor and Scale up all use this one.

`engine.fleet.catalog.models` counts the work, `hardware` has the peaks, and `calibration` says how much of them is
reached.
"""

from collections.abc import Mapping

import msgspec

from engine.fleet.catalog.calibration import Calibration, calibration
from engine.fleet.catalog.engines import ENGINES, serving_engine
from engine.fleet.catalog.hardware import FabricSpec, GpuSpec, fabric
from engine.fleet.catalog.models import ModelShape
from engine.fleet.catalog.precision import Arithmetic, precision
from engine.sim.cost import GpuCost
from engine.units import percent

REDUCED_BYTES = 2  # of a number in an all-reduce
REDUCES = 2  # a layer: after attention and after the FFN
SLOW_ROAD = 4.0  # latency of an all-reduce over PCIe, in those over NVLink


def calibrated(card: GpuSpec, engine: str) -> Calibration:
    """The fitted constants of an engine on this GPU's generation. Raises BadInput for an unknown engine."""
    return calibration(card.generation, serving_engine(engine).costs_like)


def error_of(card: GpuSpec, engine: str, shape: ModelShape) -> str:
    """How far off computed times are for this engine on this GPU with models of this kind, in one sentence."""
    checked, named = calibrated(card, engine).checked(shape), ENGINES[serving_engine(engine).costs_like]
    kind = "mixtures of experts" if shape.experts else "dense models"
    if checked is None:
        label = serving_engine(engine).label
        return f"These times were never compared with measurements of {label} on {card.label} with {kind}."
    first = "times to first token were never compared"
    if checked.ttft is not None:
        first = f"half of the times to first token within {percent(checked.ttft)} of {checked.ttft_points}"
    return (
        f"Half of the times per token are within {percent(checked.tpot)} of {checked.points} published measurements of "
        f"{named.label} on {card.generation.title()} GPUs with {kind} that their fit did not use; {first}."
    )


def step_cost(
    shape: ModelShape,
    card: GpuSpec,
    *,
    tp: int = 1,
    engine: str = "vllm",
    road: FabricSpec | None = None,
    reached: Calibration | None = None,
) -> GpuCost:
    """How long the steps of a worker of `tp` GPUs take.

    `road`: the link between its GPUs (None: the GPU's own). `reached`: constants in place of the fitted ones. Raises
    BadInput for an unknown engine.
    """
    constants = reached or calibrated(card, engine)
    kernels, overhead = constants.kernels, constants.overhead
    bytes_per_s = tp * card.memory_bytes_per_s
    attention_flops_per_s = tp * card.bf16_flops_per_s * kernels.attention
    head_flops_per_s = tp * card.bf16_flops_per_s * kernels.compute["bf16"]
    pair_s = shape.attention_flops(absorbed=False) / attention_flops_per_s
    kv_s = _kv_token_s(shape, card, tp, kernels.kv, attention_flops_per_s)
    experts = shape.experts
    every_s = overhead.step_s + shape.layers * overhead.layer_s
    every_s += shape.layers * overhead.latent_layer_s if shape.latent else 0.0
    prefill_s = shape.layers * overhead.prefill_layer_s
    if experts:
        quantizes = card.arithmetic(precision(experts.precision).arithmetic) != "bf16"
        every_s += experts.layers * (overhead.expert_layer_s + quantizes * overhead.expert_quantize_layer_s)
        prefill_s += experts.layers * overhead.expert_prefill_layer_s
    reduce_token_s = 0.0
    if tp > 1:
        road = road or fabric(card.peer)
        sent = REDUCES * shape.layers * 2 * (tp - 1) / tp * shape.hidden * REDUCED_BYTES  # a ring, or as much
        share = kernels.all_reduce if road.kind == "nvlink" else road.efficiency
        reduce_token_s = sent / (road.bytes_per_s * share)
        every_s += REDUCES * shape.layers * kernels.all_reduce_s * (1.0 if road.kind == "nvlink" else SLOW_ROAD)
    cost = GpuCost(
        token_s=2.0 * shape.dense_params / (tp * _flops_per_s(card, shape.precision, kernels.compute)),
        sampled_s=2.0 * shape.head_params / head_flops_per_s,
        weights_s=shape.read_bytes(0) / (bytes_per_s * kernels.memory),
        pair_s=pair_s * shape.full_layers,
        kv_token_s=kv_s * shape.full_layers,
        every_s=every_s,
        prefill_s=prefill_s,
        row_s=overhead.row_s + 2.0 * shape.state_bytes / (bytes_per_s * kernels.kv),
        reduce_token_s=reduce_token_s,
        window=shape.window if shape.windowed_layers else 0,
        window_pair_s=pair_s * shape.windowed_layers,
        window_token_s=kv_s * shape.windowed_layers,
    )
    if experts is None:
        return cost
    return _with_experts(cost, shape, card, tp, constants)


def _with_experts(cost: GpuCost, shape: ModelShape, card: GpuSpec, tp: int, constants: Calibration) -> GpuCost:
    experts, kernels = shape.experts, constants.kernels
    assert experts is not None
    kept = precision(experts.precision)
    flops_per_s = card.flops_per_s(kept.arithmetic) * kernels.expert_compute
    read_s = shape.expert_params * kept.bytes / (tp * card.memory_bytes_per_s * kernels.expert_memory)
    return msgspec.structs.replace(
        cost,
        experts=experts.count,
        experts_per_token=experts.active,
        expert_token_s=2.0 * shape.expert_params * experts.active / (tp * flops_per_s),
        expert_s=read_s,
    )


def _flops_per_s(card: GpuSpec, weights: str, compute: Mapping[Arithmetic, float]) -> float:
    """FLOP/s of one GPU when it multiplies with weights in this format."""
    arithmetic = card.arithmetic(precision(weights).arithmetic)
    return card.flops_per_s(arithmetic) * compute[arithmetic]


def _kv_token_s(shape: ModelShape, card: GpuSpec, tp: int, share: float, attention_flops_per_s: float) -> float:
    """Per layer. All heads share one read of a latent, so with many heads the products take longer than the read."""
    read_s = shape.kv_bytes_per_layer / (kv_shards(shape, tp) * card.memory_bytes_per_s * share)
    if shape.latent is None:
        return read_s
    return max(read_s, shape.attention_flops(absorbed=True) / attention_flops_per_s)


def kv_shards(shape: ModelShape, tp: int) -> int:
    """Into how many parts tensor parallelism splits the KV. A latent is replicated, as are KV heads on more GPUs."""
    return 1 if shape.latent else min(tp, shape.kv_heads)
