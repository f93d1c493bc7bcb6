"""From NVML's snapshot to the road between two GPUs: which one a handoff takes, how wide, and how wide if all worked.

Line rates are payload: NVML says 26.6 GB/s for a link of NVLink 4 that carries 25. PCIe counts with the most its link
can do and the lanes it has now, since an idle GPU lets the generation drop and never the lanes.
"""

from typing import Literal

import msgspec

from engine.fleet.catalog.hardware import fabric, fabrics
from engine.fleet.host.nvml import Fleet, Gpu, Pair

PAYLOAD_BYTES_PER_S = {"3": 25e9, "4": 25e9, "5": 50e9}  # of one link, by NVLink version: GPUs' totals over their links
LANE_BYTES_PER_S = 1e9  # of PCIe 3.0; each generation doubles it
NVLINK_EFFICIENCY = fabric("nvlink4").efficiency


class Road(msgspec.Struct, frozen=True):
    """Between GPUs `a` and `b`. `bytes_per_s`: what handoffs reach; `healthy_bytes_per_s`: with every NVLink up."""

    a: int
    b: int
    kind: Literal["nvlink", "pcie", "host"]
    label: str
    bytes_per_s: float
    healthy_bytes_per_s: float


def roads(fleet: Fleet) -> list[Road]:
    """One a pair, in order."""
    gpus = {gpu.index: gpu for gpu in fleet.gpus}
    link_bytes_per_s = _link_bytes_per_s(fleet)
    return [_road(pair, gpus[pair.a], gpus[pair.b], link_bytes_per_s) for pair in fleet.pairs]


def _road(pair: Pair, a: Gpu, b: Gpu, link_bytes_per_s: float) -> Road:
    up = min(_joining(a, b), _joining(b, a))
    whole = min(_possible(a, b), _possible(b, a))
    nvlink, healthy = (links * link_bytes_per_s * NVLINK_EFFICIENCY for links in (up, whole))
    if up and pair.nvlink != "ok" and pair.nvlink != "unknown":
        nvlink = 0.0  # the links are up and the driver does not let them be used
    other = _without_nvlink(pair, a, b)
    if not nvlink:
        return msgspec.structs.replace(other, healthy_bytes_per_s=max(healthy, other.bytes_per_s))
    version = next((link.version for link in a.links if link.active), "")
    label = f"{up} × NVLink {version}".rstrip() + (" through NVSwitch" if _switched(a) else "")
    return Road(pair.a, pair.b, "nvlink", label, nvlink, max(healthy, nvlink))


def _without_nvlink(pair: Pair, a: Gpu, b: Gpu) -> Road:
    rates = [pcie_bytes_per_s(gpu) for gpu in (a, b)]
    if pair.write == "ok" and all(rates):
        slower = a if rates[0] <= rates[1] else b
        assert slower.pcie is not None
        label = f"PCIe {slower.pcie.max_generation}.0 x{slower.pcie.width}"
        if pair.topology:
            label += f" across {pair.topology}"
        return Road(pair.a, pair.b, "pcie", label, min(rates), min(rates))
    fallback = fabric("tcp")
    rate = fallback.achieved_bytes_per_s
    return Road(pair.a, pair.b, "host", f"host memory ({fallback.label})", rate, rate)


def pcie_bytes_per_s(gpu: Gpu) -> float:
    """What handoffs reach over its PCIe link, 0 if it is not known."""
    if gpu.pcie is None:
        return 0.0
    known = fabrics().get(f"pcie{gpu.pcie.max_generation}", fabric("pcie3"))
    return LANE_BYTES_PER_S * 2.0 ** (gpu.pcie.max_generation - 3) * gpu.pcie.width * known.efficiency


def _joining(gpu: Gpu, other: Gpu) -> int:
    """Links that are up and lead to the other GPU, or to the switch that both are on."""
    return sum(1 for link in gpu.links if link.active and (link.remote == "switch" or link.remote_bus == other.bus))


def _possible(gpu: Gpu, other: Gpu) -> int:
    """Those, and the ones that are down: NVML does not say where they would lead."""
    return _joining(gpu, other) + sum(1 for link in gpu.links if not link.active)


def _switched(gpu: Gpu) -> bool:
    return any(link.remote == "switch" for link in gpu.links)


def _link_bytes_per_s(fleet: Fleet) -> float:
    links = [link for gpu in fleet.gpus for link in gpu.links if link.active]
    said = max((link.bytes_per_s for link in links), default=0.0)
    payload = PAYLOAD_BYTES_PER_S.get(next((link.version for link in links), ""), 0.0)
    return min(said, payload) if said and payload else said or payload or PAYLOAD_BYTES_PER_S["3"]
