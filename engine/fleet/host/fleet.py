"""This machine's GPUs and the roads between them as one frozen snapshot: facts, no judgement."""

from importlib.resources import files

import msgspec


class NvLink(msgspec.Struct, frozen=True):
    """`remote`: gpu, switch, cpu or empty. `bytes_per_s`: one direction, 0 if NVML does not say.

    `errors`: since the counters were reset; `rising`: how many of them occurred while we watched.
    """

    link: int
    active: bool
    version: str = ""
    bytes_per_s: float = 0.0
    remote: str = ""
    remote_bus: str = ""
    errors: dict[str, int] = {}
    rising: int = 0


class Pcie(msgspec.Struct, frozen=True):
    """A PCIe link as it runs now, and at most."""

    generation: int
    width: int
    max_generation: int
    max_width: int


class Fabric(msgspec.Struct, frozen=True):
    """A GPU's place in an NVSwitch fabric.

    `state`: not started, in progress or completed. `error`: why it did not complete well. `health`: healthy, unhealthy,
    limited capacity, or empty where the driver does not say. `faults`: what the driver's health mask lists.
    """

    state: str
    error: str = ""
    health: str = ""
    faults: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether its setup has completed without an error."""
        return self.state == "completed" and not self.error


class Gpu(msgspec.Struct, frozen=True):
    """`fabric`: None without one. `mig_instances`: None where MIG is off. `virtual`: passthrough or vgpu in a virtual
    machine, else empty. `c2c`: joined to its CPU by NVLink-C2C, beside which PCIe says nothing about its speed.
    `processes`: that compute on it now, as far as NVML shows them."""

    index: int
    name: str
    memory_bytes: int
    bus: str = ""
    pcie: Pcie | None = None
    links: tuple[NvLink, ...] = ()
    fabric: Fabric | None = None
    mig_instances: int | None = None
    virtual: str = ""
    geforce: bool = False
    c2c: bool = False
    processes: int = 0


class Pair(msgspec.Struct, frozen=True):
    """Two GPUs: which peer-to-peer transfers work between them, and what separates them on PCIe."""

    a: int
    b: int
    read: str = "unknown"
    write: str = "unknown"
    nvlink: str = "unknown"
    topology: str = ""


class Fleet(msgspec.Struct, frozen=True):
    """`why`: the reason if there is no GPU. `refused`: NVML's reason not to start, if it gave one.

    `lost`: GPUs that are left out since they are lost or need a reset. `unread`: other questions that failed; what they
    ask for is unknown. `visible`: CUDA_VISIBLE_DEVICES where it hides some of the `of` GPUs. `example`: an example, not
    this machine.
    """

    gpus: tuple[Gpu, ...] = ()
    pairs: tuple[Pair, ...] = ()
    why: str = ""
    refused: str = ""
    lost: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    visible: str | None = None
    of: int = 0
    example: bool = False


def example_fleet() -> Fleet:
    """Four GPUs in NVLink pairs, one pair down. Recorded from our tests' simulated NVML, not from a real machine."""
    recorded = files("engine.fleet.catalog").joinpath("data", "example-fleet.json").read_bytes()
    return msgspec.json.decode(recorded, type=Fleet)
