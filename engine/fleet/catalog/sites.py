"""Places to simulate: how many GPUs, of which kind, and which link a handoff takes between two of them."""

import msgspec

from engine.fleet.catalog.hardware import FabricSpec, GpuSpec, fabric
from engine.fleet.catalog.tables import named


class Site(msgspec.Struct, frozen=True):
    """`gpu`: the default one here. `road`: a fabric by name; "": the GPU's own link to the next one in its host.

    `one_port`: all handoffs share one such link, as between nodes with a single network card. Otherwise every GPU has
    its own.
    """

    name: str
    label: str
    gpus: int
    gpu: str
    road: str = ""
    one_port: bool = False

    def fabric(self, card: GpuSpec) -> FabricSpec:
        """The link between two GPUs of this kind at the site."""
        return fabric(self.road or card.peer)


SITES = {
    site.name: site
    for site in (
        Site("lab", "4-GPU lab", 4, "l40s"),
        Site("node", "Node of 8 × H100", 8, "h100-sxm"),
        Site("ethernet", "Two nodes, Ethernet", 16, "h100-sxm", "eth-100g", one_port=True),
        Site("infiniband", "Two nodes, InfiniBand", 16, "h100-sxm", "ib-400g"),
        Site("nvl72", "GB200 NVL72", 72, "gb200", "nvl72"),
    )
}


def site(name: str) -> Site:
    """A site by name. Raises BadInput."""
    return named("site", name, SITES)
