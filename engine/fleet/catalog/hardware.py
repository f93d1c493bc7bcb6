"""GPUs and the fabrics between them. The numbers are in data/gpus.toml and data/fabrics.toml, each with its source."""

import functools
from typing import Literal

import msgspec

from engine.fleet.catalog.precision import Arithmetic
from engine.fleet.catalog.tables import named, read_table
from engine.link import LinkSpec


class FabricSpec(msgspec.Struct, frozen=True):
    """A link for KV. `bytes_per_s`: line rate, one direction; `efficiency`: the share that handoffs reach."""

    name: str
    label: str
    kind: Literal["nvlink", "pcie", "rdma", "tcp"]
    bytes_per_s: float
    efficiency: float
    latency_s: float
    source: str

    @property
    def achieved_bytes_per_s(self) -> float:
        """The bandwidth that handoffs reach."""
        return self.bytes_per_s * self.efficiency

    @property
    def link(self) -> LinkSpec:
        """The link for handoffs, with the same formula as the live engine's and the simulator's."""
        return LinkSpec(self.achieved_bytes_per_s, self.latency_s)


class GpuSpec(msgspec.Struct, frozen=True):
    """Dense peaks. `peer`, `host` and `network`: the fabric to the next GPU, to the CPU, to another machine.

    `nvml`: the product name that NVML reports, empty for other vendors. `node_gpus`: how many share a host.
    `generation`: a table of calibration.toml. A peak is None if the GPU has no units for that format.
    """

    name: str
    label: str
    bf16_flops_per_s: float
    memory_bytes: int
    memory_bytes_per_s: float
    peer: str
    host: str
    network: str
    source: str
    generation: str
    fp8_flops_per_s: float | None = None
    fp4_flops_per_s: float | None = None
    nvml: str = ""
    node_gpus: int = 8

    def flops_per_s(self, arithmetic: Arithmetic) -> float:
        """The dense peak for products in this format; formats without units run at the 16-bit peak."""
        peaks = {"bf16": self.bf16_flops_per_s, "fp8": self.fp8_flops_per_s, "fp4": self.fp4_flops_per_s}
        return peaks[self.arithmetic(arithmetic)] or self.bf16_flops_per_s

    def arithmetic(self, wanted: Arithmetic) -> Arithmetic:
        """The format in which this GPU computes such products: 16 bits if it has no units for `wanted`."""
        has = {"bf16": True, "fp8": self.fp8_flops_per_s is not None, "fp4": self.fp4_flops_per_s is not None}
        return wanted if has[wanted] else "bf16"


@functools.cache
def gpus() -> dict[str, GpuSpec]:
    """All GPUs of data/gpus.toml, by name."""
    return {name: msgspec.convert({"name": name, **row}, GpuSpec) for name, row in read_table("gpus.toml").items()}


@functools.cache
def fabrics() -> dict[str, FabricSpec]:
    """All fabrics of data/fabrics.toml, by name."""
    rows = read_table("fabrics.toml").items()
    return {name: msgspec.convert({"name": name, **row}, FabricSpec) for name, row in rows}


def gpu(name: str) -> GpuSpec:
    """A GPU by name. Raises BadInput."""
    return named("gpu", name, gpus())


def fabric(name: str) -> FabricSpec:
    """A fabric by name. Raises BadInput."""
    return named("fabric", name, fabrics())
