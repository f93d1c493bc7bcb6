"""From NVML's snapshot to the first fields of a question: which GPUs, how they are linked, and which links are down."""

import msgspec

from engine.errors import BadInput
from engine.fleet.advisor.question import BRIDGED
from engine.fleet.catalog.hardware import GpuSpec, fabric, fabrics, gpus
from engine.fleet.host.fleet import Fleet, Gpu
from engine.fleet.host.links import unbridged


class Here(msgspec.Struct, frozen=True):
    """Fields of a `Question`, and a sentence about their source."""

    gpus: int
    gpu: str
    fabric: str
    links_down: int
    sentence: str


def here(fleet: Fleet) -> Here:
    """The fields that a fleet determines. Raises BadInput if there is no GPU, or the lab does not know its kind."""
    whose = "the recorded example fleet" if fleet.example else "this machine"
    if not fleet.gpus:
        raise BadInput("machine", f"one without an NVIDIA GPU ({fleet.why})", "one with GPUs that NVML can see")
    card = _card(fleet)
    cut = [gpu for gpu in fleet.gpus if gpu.links and not unbridged(gpu) and not _on_nvlink(gpu)]
    up = [link for gpu in fleet.gpus if _on_nvlink(gpu) for link in gpu.links if link.active]
    if not up:  # there may never have been one
        road, down = (fabric(card.host).name if fabric(card.peer).kind == "nvlink" or cut else ""), 0
        said = f"no NVLink is up on any of its {len(fleet.gpus)} GPUs, so KV goes over {fabric(card.host).label}"
    else:
        known = f"nvlink{up[0].version}"
        road = known if known in fabrics() and known != card.peer else ""
        switched = any(link.remote == "switch" for link in up)
        down = len(cut) if switched else -(-len(cut) // BRIDGED)
        ends = ", ".join(f"GPU {gpu.index}" for gpu in cut)
        said = f"every NVLink of {ends} is down" if cut else "at least one NVLink is up on every GPU that has any"
    kinds = {gpu.name for gpu in fleet.gpus}
    mixed = f" Its GPUs are of {len(kinds)} kinds; all are treated as {card.label}." if len(kinds) > 1 else ""
    if any(gpu.mig_instances is not None for gpu in fleet.gpus):
        mixed += " MIG is on; what follows is about whole GPUs."
    return Here(len(fleet.gpus), card.name, road, down, f"Taken from the findings of {whose}: {said}.{mixed}")


def _on_nvlink(gpu: Gpu) -> bool:
    return any(link.active for link in gpu.links) and (gpu.fabric is None or gpu.fabric.usable)


def _card(fleet: Fleet) -> GpuSpec:
    names = [gpu.name for gpu in fleet.gpus]
    most = max(sorted(set(names)), key=names.count)
    known = next((card for card in gpus().values() if card.nvml == most), None)
    if known is None:
        raise BadInput("GPU", most, f"one of {', '.join(card.nvml for card in gpus().values() if card.nvml)}")
    return known
