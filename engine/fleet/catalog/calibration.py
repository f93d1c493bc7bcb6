"""The share of a GPU's peaks that kernels reach, and what engines add to a step: constants in data/calibration.toml.

`engine.fleet.fit` recomputes them from measurements; the file names these, and the errors of the fit.
"""

import functools
from collections.abc import Mapping

import msgspec

from engine.fleet.catalog.models import ModelShape
from engine.fleet.catalog.precision import Arithmetic
from engine.fleet.catalog.tables import read_table


class Kernels(msgspec.Struct, frozen=True):
    """The shares of its peaks that one GPU generation reaches.

    `compute`: of the FLOP/s, in matrix products, by arithmetic; `expert_compute`: in routed experts, whose batches are
    small. `memory`, `expert_memory`: of the bandwidth, when reading weights. `attention`: of the 16-bit FLOP/s, in
    prefill. `kv`: of the bandwidth, when reading KV in decode. `all_reduce`: of the line rate between GPUs;
    `all_reduce_s`: its latency.
    """

    compute: Mapping[Arithmetic, float]
    expert_compute: float
    memory: float
    expert_memory: float
    attention: float
    kv: float
    all_reduce: float
    all_reduce_s: float
    source: str


class Overhead(msgspec.Struct, frozen=True):
    """One engine's overhead on one generation, in seconds: for a step, for each of its layers (small kernels and the
    gaps between them), for a layer of routed experts or latent attention, and for each decode row. Experts that compute
    in 8 or 4 bits quantise what they multiply first, which takes `expert_quantize_layer_s`. With a prompt in the step,
    every layer and every layer of experts also take `prefill_layer_s` and `expert_prefill_layer_s`.

    `request_s` is what a request takes outside of steps until a worker can prefill it: HTTP, tokenising, and the way
    from process to process.
    """

    step_s: float
    layer_s: float
    expert_layer_s: float
    latent_layer_s: float
    expert_quantize_layer_s: float
    row_s: float
    prefill_layer_s: float
    expert_prefill_layer_s: float
    request_s: float
    source: str


class Checked(msgspec.Struct, frozen=True):
    """How far off computed times are: medians of the relative error on so many measurements that the fit did not use.

    `ttft` is None if there is no measurement of it.
    """

    points: int
    tpot: float
    ttft_points: int = 0
    ttft: float | None = None


class Calibration(msgspec.Struct, frozen=True):
    """An engine on a GPU generation: everything that `step_cost` needs beyond the model and the GPU's peaks.

    `dense` and `experts`: how far off that is for dense models and for mixtures of experts; None if nobody knows.
    """

    kernels: Kernels
    overhead: Overhead
    dense: Checked | None = None
    experts: Checked | None = None

    def scaled(self, *, compute: float = 1.0, memory: float = 1.0) -> "Calibration":
        """The same with the shares multiplied, to see how much depends on them."""
        k = self.kernels
        kernels = msgspec.structs.replace(
            k,
            compute={arithmetic: share * compute for arithmetic, share in k.compute.items()},
            expert_compute=k.expert_compute * compute,
            attention=k.attention * compute,
            memory=k.memory * memory,
            expert_memory=k.expert_memory * memory,
            kv=k.kv * memory,
        )
        return msgspec.structs.replace(self, kernels=kernels)

    def checked(self, shape: ModelShape) -> Checked | None:
        """How far off times are for models of this kind."""
        return self.experts if shape.experts else self.dense

    def error(self, shape: ModelShape) -> float:
        """The share by which times may be off: the held-out error, or `UNCHECKED` if nothing was measured."""
        checked = self.checked(shape)
        return checked.tpot if checked else UNCHECKED


UNCHECKED = 0.3  # assumed error where no measurement was compared with the formula


@functools.cache
def calibration(generation: str, engine: str) -> Calibration:
    """The constants of an engine's cost family (`EngineSpec.costs_like`) on a GPU generation."""
    row = read_table("calibration.toml")[generation]
    own = row[engine]
    dense, experts = (msgspec.convert(own.get(kind), Checked | None) for kind in ("dense", "experts"))
    return Calibration(msgspec.convert(row["kernels"], Kernels), msgspec.convert(own, Overhead), dense, experts)
