"""What NVML says about this machine's GPUs and the roads between them: one frozen snapshot, no judgement.

A GPU or driver that does not know a question is no fault: the answer is then empty. A call that fails in another way is
written down in `unread`, its GPU is left out, and the rest is still asked.
"""

import time
from collections.abc import Callable
from ctypes import byref
from importlib.resources import files
from typing import Any, TypeVar

import msgspec
import pynvml

WATCH_S = 0.5  # between two readings of the error counters, to tell those that rise from those that are old

SWITCH, GPU = pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH, pynvml.NVML_NVLINK_DEVICE_TYPE_GPU
REMOTES = {GPU: "gpu", SWITCH: "switch", pynvml.NVML_NVLINK_DEVICE_TYPE_IBMNPU: "cpu"}
VERSIONS = {1: "1", 2: "2", 3: "2", 4: "3", 5: "3", 6: "4", 7: "5", 8: "6"}  # NVML counts half versions
COUNTERS = {
    "replay": pynvml.NVML_NVLINK_ERROR_DL_REPLAY,
    "recovery": pynvml.NVML_NVLINK_ERROR_DL_RECOVERY,
    "crc_flit": pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT,
    "crc_data": pynvml.NVML_NVLINK_ERROR_DL_CRC_DATA,
}
TOPOLOGY = {
    pynvml.NVML_TOPOLOGY_INTERNAL: "the same board",
    pynvml.NVML_TOPOLOGY_SINGLE: "one PCIe switch",
    pynvml.NVML_TOPOLOGY_MULTIPLE: "several PCIe switches",
    pynvml.NVML_TOPOLOGY_HOSTBRIDGE: "a PCIe host bridge",
    pynvml.NVML_TOPOLOGY_NODE: "one NUMA node",
    pynvml.NVML_TOPOLOGY_SYSTEM: "the link between CPU sockets",
}
P2P_READ, P2P_WRITE, P2P_NVLINK = 0, 1, 2  # pynvml's own NVML_P2P_CAPS_INDEX_READ is a tuple by mistake
P2P_STATUS = ("ok", "chipset", "gpu", "topology", "disabled in the driver", "not supported", "unknown")
P2P_UNKNOWN = len(P2P_STATUS) - 1
FABRIC_HEALTH = {
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY: "healthy",
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_UNHEALTHY: "unhealthy",
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_LIMITED_CAPACITY: "limited capacity",
}

T = TypeVar("T")


class NvLink(msgspec.Struct, frozen=True):
    """`remote`: gpu, switch, cpu or empty. `bytes_per_s`: one direction, 0 if NVML does not say.

    `errors` since the counters were reset; `rising`: how many of them came while we watched.
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
    generation: int
    width: int
    max_generation: int
    max_width: int


class Gpu(msgspec.Struct, frozen=True):
    index: int
    name: str
    memory_bytes: int
    bus: str = ""
    pcie: Pcie | None = None
    links: tuple[NvLink, ...] = ()
    fabric_health: str = ""


class Pair(msgspec.Struct, frozen=True):
    """Two GPUs: what may pass between them directly, and what lies between them on PCIe."""

    a: int
    b: int
    read: str = "unknown"
    write: str = "unknown"
    nvlink: str = "unknown"
    topology: str = ""


class Fleet(msgspec.Struct, frozen=True):
    """`why`: the reason if there is no GPU. `unread`: calls that failed. `example`: an example, not this machine."""

    gpus: tuple[Gpu, ...] = ()
    pairs: tuple[Pair, ...] = ()
    why: str = ""
    unread: tuple[str, ...] = ()
    example: bool = False


def example_fleet() -> Fleet:
    """Four GPUs in NVLink pairs, one pair down: recorded from the NVML of our tests, so from no real machine."""
    recorded = files("engine.fleet.catalog").joinpath("data", "example-fleet.json").read_bytes()
    return msgspec.json.decode(recorded, type=Fleet)


def read_fleet(watch_s: float = WATCH_S) -> Fleet:
    """Ask NVML. Takes `watch_s` longer where there are NVLinks, to see whether their error counters rise."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return Fleet(why="no NVIDIA driver is installed")
    except pynvml.NVMLError as error:
        return Fleet(why="the NVIDIA driver does not answer", unread=(f"nvmlInit: {error}",))
    asker = _Asker()
    try:
        handles = asker.handles()
        gpus = {index: gpu for index, handle in handles.items() if (gpu := asker.gpu(index, handle))}
        if any(link.active for gpu in gpus.values() for link in gpu.links):
            time.sleep(watch_s)
            gpus = {index: asker.watched(gpu, handles[index]) for index, gpu in gpus.items()}
        pairs = tuple(asker.pair(a, b, handles) for a in gpus for b in gpus if a < b)
    finally:
        pynvml.nvmlShutdown()
    return Fleet(
        tuple(gpus.values()), pairs, "" if gpus else "the NVIDIA driver has none that answers", tuple(asker.unread)
    )


class _Asker:
    def __init__(self) -> None:
        self.unread: list[str] = []

    def handles(self) -> dict[int, Any]:
        count = self._ask("the number of GPUs", 0, pynvml.nvmlDeviceGetCount)
        asked = {n: self._ask(f"GPU {n}", None, pynvml.nvmlDeviceGetHandleByIndex, n) for n in range(count)}
        return {n: handle for n, handle in asked.items() if handle is not None}

    def gpu(self, n: int, gpu: Any) -> Gpu | None:
        """None for one that fails to answer: half of what it is would be worse than nothing."""
        failed = len(self.unread)
        memory = self._ask(f"GPU {n}: memory", None, pynvml.nvmlDeviceGetMemoryInfo, gpu)
        pci = self._ask(f"GPU {n}: PCI address", None, pynvml.nvmlDeviceGetPciInfo, gpu)
        whole = Gpu(
            index=n,
            name=self._ask(f"GPU {n}: name", "unknown", pynvml.nvmlDeviceGetName, gpu),
            memory_bytes=memory.total if memory else 0,
            bus=pci.busId if pci else "",
            pcie=self._pcie(n, gpu),
            links=self._links(n, gpu),
            fabric_health=self._fabric_health(n, gpu),
        )
        return whole if len(self.unread) == failed else None

    def watched(self, gpu: Gpu, handle: Any) -> Gpu:
        """The same GPU with what its error counters have gained since."""
        links = []
        for link in gpu.links:
            now = self._errors(gpu.index, handle, link.link) if link.active else link.errors
            rising = sum(max(0, count - link.errors.get(name, count)) for name, count in now.items())
            links.append(msgspec.structs.replace(link, errors=now, rising=rising))
        return msgspec.structs.replace(gpu, links=tuple(links))

    def pair(self, a: int, b: int, handles: dict[int, Any]) -> Pair:
        one, other, who = handles[a], handles[b], f"GPU {a} and {b}"
        level = self._ask(f"{who}: topology", None, pynvml.nvmlDeviceGetTopologyCommonAncestor, one, other)
        read, write, nvlink = (
            self._ask(f"{who}: P2P {what}", P2P_UNKNOWN, pynvml.nvmlDeviceGetP2PStatus, one, other, index)
            for what, index in (("read", P2P_READ), ("write", P2P_WRITE), ("NVLink", P2P_NVLINK))
        )
        return Pair(a, b, _p2p(read), _p2p(write), _p2p(nvlink), TOPOLOGY.get(level, ""))

    def _pcie(self, n: int, gpu: Any) -> Pcie | None:
        calls = (
            pynvml.nvmlDeviceGetCurrPcieLinkGeneration,
            pynvml.nvmlDeviceGetCurrPcieLinkWidth,
            pynvml.nvmlDeviceGetMaxPcieLinkGeneration,
            pynvml.nvmlDeviceGetMaxPcieLinkWidth,
        )
        answers = [self._ask(f"GPU {n}: PCIe link", 0, call, gpu) for call in calls]
        return Pcie(*answers) if all(answers) else None

    def _links(self, n: int, gpu: Any) -> tuple[NvLink, ...]:
        links = []
        for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
            who = f"GPU {n}: NVLink {link}"
            failed = len(self.unread)
            state = self._ask(f"{who}, state", None, pynvml.nvmlDeviceGetNvLinkState, gpu, link)
            if len(self.unread) > failed:
                break  # the others would say the same
            if state is not None:  # else beyond the last one, or one that this board does not use
                links.append(self._link(n, gpu, link) if state else NvLink(link, active=False))
        return tuple(links)

    def _link(self, n: int, gpu: Any, link: int) -> NvLink:
        who = f"GPU {n}: NVLink {link}"
        version = self._ask(f"{who}, version", 0, pynvml.nvmlDeviceGetNvLinkVersion, gpu, link)
        remote = self._ask(f"{who}, remote", None, pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, gpu, link)
        pci = self._ask(f"{who}, remote address", None, pynvml.nvmlDeviceGetNvLinkRemotePciInfo, gpu, link)
        return NvLink(
            link=link,
            active=True,
            version=VERSIONS.get(version, ""),
            bytes_per_s=self._speed(who, gpu, link),
            remote=REMOTES.get(remote, ""),
            remote_bus=pci.busId if pci else "",
            errors=self._errors(n, gpu, link),
        )

    def _speed(self, who: str, gpu: Any, link: int) -> float:
        fields = [(pynvml.NVML_FI_DEV_NVLINK_GET_SPEED, link), (pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, 0)]
        values = self._ask(f"{who}, speed", (), pynvml.nvmlDeviceGetFieldValues, gpu, fields)
        said = (value.value.uiVal for value in values if value.nvmlReturn == pynvml.NVML_SUCCESS)
        return 1e6 * next((speed for speed in said if speed), 0)

    def _errors(self, n: int, gpu: Any, link: int) -> dict[str, int]:
        counts = {}
        for name, counter in COUNTERS.items():
            who = f"GPU {n}: NVLink {link}, {name} counter"
            counts[name] = self._ask(who, None, pynvml.nvmlDeviceGetNvLinkErrorCounter, gpu, link, counter)
        return {name: count for name, count in counts.items() if count is not None}

    def _fabric_health(self, n: int, gpu: Any) -> str:
        info = pynvml.c_nvmlGpuFabricInfo_v3_t()
        done = self._ask(f"GPU {n}: fabric", None, pynvml.nvmlDeviceGetGpuFabricInfoV, gpu, byref(info))
        if done is None or info.state != pynvml.NVML_GPU_FABRIC_STATE_COMPLETED:
            return ""
        return FABRIC_HEALTH.get(info.healthSummary, "")

    def _ask(self, what: str, otherwise: T, call: Callable[..., Any], *arguments: Any) -> Any | T:
        try:
            return call(*arguments)
        except (
            pynvml.NVMLError_NotSupported,
            pynvml.NVMLError_FunctionNotFound,
            pynvml.NVMLError_InvalidArgument,  # a link beyond the last one
        ):
            return otherwise
        except pynvml.NVMLError as error:
            self.unread.append(f"{what}: {error}")
            return otherwise


def _p2p(status: int) -> str:
    return P2P_STATUS[status] if 0 <= status <= P2P_UNKNOWN else P2P_STATUS[P2P_UNKNOWN]
