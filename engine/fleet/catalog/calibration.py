"""The share of a GPU's peaks that kernels reach, and what engines add to a step: constants in data/calibration.toml.

`engine.fleet.fit` recomputes them from measurements; the file names these, and the errors of the fit.
"""

import functools
from collections.abc import Mapping

import msgspec

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
    gaps between them), for a layer of routed experts or latent attention, and for each decode row. With a prompt in
    the step, every layer and every layer of experts also take `prefill_layer_s` and `expert_prefill_layer_s`.

    `tpot_error` and `ttft_error`: medians of the relative error on `points` and `ttft_points` measurements that the fit
    did not use; None if there were none.
    """

    step_s: float
    layer_s: float
    expert_layer_s: float
    latent_layer_s: float
    row_s: float
    prefill_layer_s: float
    expert_prefill_layer_s: float
    source: str
    points: int = 0
    tpot_error: float | None = None
    ttft_points: int = 0
    ttft_error: float | None = None


class Calibration(msgspec.Struct, frozen=True):
    """An engine on a GPU generation: everything that `step_cost` needs beyond the model and the GPU's peaks."""

    kernels: Kernels
    overhead: Overhead

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

    @property
    def error(self) -> float:
        """The share by which times may be off: the held-out error, or `UNCHECKED` if nothing was measured."""
        return self.overhead.tpot_error if self.overhead.tpot_error is not None else UNCHECKED


UNCHECKED = 0.3  # assumed error where no measurement was compared with the formula


@functools.cache
def calibration(generation: str, engine: str) -> Calibration:
    """The constants of an engine's cost family (`EngineSpec.costs_like`) on a GPU generation."""
    row = read_table("calibration.toml")[generation]
    return Calibration(msgspec.convert(row["kernels"], Kernels), msgspec.convert(row[engine], Overhead))
