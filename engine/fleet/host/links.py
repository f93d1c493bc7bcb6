"""From NVML's snapshot to the road between two GPUs: which one a handoff takes, how wide, and how wide if all worked.

Line rates are payload: NVML says 26.6 GB/s for a link of NVLink 4 that carries 25. PCIe counts with the most that its
link can do, since an idle GPU lets both generation and lanes drop.
"""

import re
from collections.abc import Container
from typing import Literal

import msgspec

from engine.fleet.catalog.hardware import fabric, fabrics
from engine.fleet.host.fleet import Fleet, Gpu, NvLink, Pair

PAYLOAD_BYTES_PER_S = {"3": 25e9, "4": 25e9, "5": 50e9}  # of one link, by NVLink version: GPUs' totals over their links
LANE_BYTES_PER_S = 1e9  # of PCIe 3.0; each generation doubles it
NVLINK_EFFICIENCY = fabric("nvlink4").efficiency
BRIDGEABLE = re.compile(r"PCIe|\bNVL\b|RTX|TITAN|\bA[34]0\b")  # cards whose NVLinks are for a bridge, which is optional


class Road(msgspec.Struct, frozen=True):
    """The link between GPUs `a` and `b`: what handoffs reach, and `healthy_bytes_per_s`, with every NVLink up."""

    a: int
    b: int
    kind: Literal["nvlink", "pcie", "host"]
    label: str
    bytes_per_s: float
    healthy_bytes_per_s: float


def roads(fleet: Fleet) -> list[Road]:
    """One for each pair, in the order of `fleet.pairs`."""
    gpus = {gpu.index: gpu for gpu in fleet.gpus}
    buses = {gpu.bus for gpu in fleet.gpus}
    link_bytes_per_s = _link_bytes_per_s(fleet)
    return [_road(pair, gpus[pair.a], gpus[pair.b], buses, link_bytes_per_s) for pair in fleet.pairs]


def unbridged(gpu: Gpu) -> bool:
    """Whether it looks like a card that never had a bridge: all its links are down, and none ever counted an error."""
    never_up = all(not link.active and not any(link.errors.values()) for link in gpu.links)
    return bool(gpu.links) and never_up and bool(BRIDGEABLE.search(gpu.name))


def _road(pair: Pair, a: Gpu, b: Gpu, buses: Container[str], link_bytes_per_s: float) -> Road:
    other = _without_nvlink(pair, a, b)
    if a.mig_instances is not None or b.mig_instances is not None:
        return other  # the whole GPU's links are up, and no instance may use them
    up = min(_joining(a, b, buses), _joining(b, a, buses))
    whole = min(_possible(a, b, buses), _possible(b, a, buses))
    nvlink, healthy = (links * link_bytes_per_s * NVLINK_EFFICIENCY for links in (up, whole))
    if pair.nvlink not in ("ok", "unknown") or not all(gpu.fabric is None or gpu.fabric.usable for gpu in (a, b)):
        nvlink = 0.0  # the links are up, and the driver or the fabric does not let them be used
    if not nvlink:
        return msgspec.structs.replace(other, healthy_bytes_per_s=max(healthy, other.bytes_per_s))
    version = next((link.version for link in a.links if link.active), "")
    label = f"{up} × NVLink {version}".rstrip() + _through(a, buses)
    return Road(pair.a, pair.b, "nvlink", label, nvlink, max(healthy, nvlink))


def _without_nvlink(pair: Pair, a: Gpu, b: Gpu) -> Road:
    rates = [pcie_bytes_per_s(gpu) for gpu in (a, b)]
    whole = a.mig_instances is None and b.mig_instances is None
    if whole and pair.write == "ok" and all(rates):
        slower = a if rates[0] <= rates[1] else b
        assert slower.pcie is not None
        label = f"PCIe {slower.pcie.max_generation}.0 x{slower.pcie.max_width}"
        if pair.topology:
            label += f" across {pair.topology}"
        return Road(pair.a, pair.b, "pcie", label, min(rates), min(rates))
    fallback = fabric("tcp")
    rate = fallback.achieved_bytes_per_s
    return Road(pair.a, pair.b, "host", f"host memory ({fallback.label})", rate, rate)


def pcie_bytes_per_s(gpu: Gpu) -> float:
    """What handoffs reach over the GPU's PCIe link under load, 0 if unknown."""
    if gpu.pcie is None:
        return 0.0
    known = fabrics().get(f"pcie{gpu.pcie.max_generation}", fabric("pcie3"))
    return LANE_BYTES_PER_S * 2.0 ** (gpu.pcie.max_generation - 3) * gpu.pcie.max_width * known.efficiency


def _joining(gpu: Gpu, other: Gpu, buses: Container[str]) -> int:
    """How many links are up and lead to the other GPU, or to the switch that both are on."""
    return sum(1 for link in gpu.links if link.active and (_to_switch(link, buses) or link.remote_bus == other.bus))


def _possible(gpu: Gpu, other: Gpu, buses: Container[str]) -> int:
    """Those, and the ones that are down, if there ever was a bridge: NVML does not say where they would lead."""
    dark = 0 if unbridged(gpu) else sum(1 for link in gpu.links if not link.active)
    return _joining(gpu, other, buses) + dark


def _to_switch(link: NvLink, buses: Container[str]) -> bool:
    return link.remote == "switch" or _to_hidden_switch(link, buses)


def _to_hidden_switch(link: NvLink, buses: Container[str]) -> bool:
    """A virtual machine may have GPUs without the switch that joins them: a link is then up, and leads to nothing that
    NVML knows (as NCCL takes it: nccl issue 1182)."""
    return link.active and not link.remote and link.remote_bus not in buses


def _through(gpu: Gpu, buses: Container[str]) -> str:
    if any(link.remote == "switch" for link in gpu.links):
        return " through NVSwitch"
    if any(_to_hidden_switch(link, buses) for link in gpu.links):
        return " through an NVSwitch that this machine does not see"
    return ""


def _link_bytes_per_s(fleet: Fleet) -> float:
    links = [link for gpu in fleet.gpus for link in gpu.links if link.active]
    said = max((link.bytes_per_s for link in links), default=0.0)
    payload = PAYLOAD_BYTES_PER_S.get(next((link.version for link in links), ""), 0.0)
    return min(said, payload) if said and payload else said or payload or PAYLOAD_BYTES_PER_S["3"]
