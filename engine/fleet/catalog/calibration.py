"""What kernels reach of a GPU's peaks and what engines add to a step: constants of data/calibration.toml.

`engine.fleet.fit` redoes them from measurements; the file says which, and how far off the fit is.
"""

import functools
from collections.abc import Mapping

import msgspec

from engine.fleet.catalog.precision import Arithmetic
from engine.fleet.catalog.tables import read_table


class Kernels(msgspec.Struct, frozen=True):
    """Of one GPU generation: shares of its peaks.

    `compute`: of the FLOP/s, in matrix products, by arithmetic; `expert_compute`: in routed experts, whose batches are
    small. `memory`, `expert_memory`: of the bandwidth, reading weights. `attention`: of the 16-bit FLOP/s, in prefill.
    `kv`: of the bandwidth, reading KV in decode. `all_reduce`: of the line rate between GPUs; `all_reduce_s`: the
    latency of one.
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
    """Of one engine on one generation, in seconds: a step, each layer of it (small kernels and the gaps between them),
    what a layer of routed experts or of latent attention adds, and each decoding row. With a prompt in the step, every
    layer and every layer of experts take `prefill_layer_s` and `expert_prefill_layer_s` more.

    `tpot_error` and `ttft_error`: medians of the relative error on `points` measurements that the fit did not see; None
    where there were none.
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
    ttft_error: float | None = None


class Calibration(msgspec.Struct, frozen=True):
    kernels: Kernels
    overhead: Overhead

    def scaled(self, *, compute: float = 1.0, memory: float = 1.0) -> "Calibration":
        """The same with other shares of the peaks, to ask how much hangs on them."""
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
        """By how much a time may be off, as a share: the held-out error, or `UNCHECKED` where nothing was measured."""
        return self.overhead.tpot_error if self.overhead.tpot_error is not None else UNCHECKED


UNCHECKED = 0.3  # where no measurement was held against the formula


@functools.cache
def calibration(generation: str, engine: str) -> Calibration:
    """Of an engine's cost family (`EngineSpec.costs_like`) on a GPU generation."""
    row = read_table("calibration.toml")[generation]
    return Calibration(msgspec.convert(row["kernels"], Kernels), msgspec.convert(row[engine], Overhead))
