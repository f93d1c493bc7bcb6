"""What NVML says about this machine's GPUs and the roads between them.

Drivers of many ages answer, and in containers, virtual machines and WSL some questions fail: what they ask for is then
unknown, and the rest is still asked. A question that no GPU or driver has to know is no fault; other failures are
written down. Only a GPU that is lost or needs a reset is left out.
"""

import os
import time
from collections.abc import Callable
from ctypes import byref
from typing import Any, TypeVar

import msgspec
import pynvml

from engine.fleet.host.fleet import Fabric, Fleet, Gpu, NvLink, Pair, Pcie
from engine.fleet.host.health_mask import faults
from engine.fleet.host.visible import chosen

WATCH_S = 0.5  # between two readings of the error counters, to tell rising counts from old ones

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
P2P_READ, P2P_WRITE, P2P_NVLINK = 0, 1, 2  # pynvml's NVML_P2P_CAPS_INDEX_READ is mistakenly a tuple
P2P_STATUS = ("ok", "chipset", "gpu", "topology", "disabled in the driver", "not supported", "unknown")
P2P_UNKNOWN = len(P2P_STATUS) - 1
FABRIC_HEALTH = {
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY: "healthy",
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_UNHEALTHY: "unhealthy",
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_LIMITED_CAPACITY: "limited capacity",
}

FABRIC_STATE = {
    pynvml.NVML_GPU_FABRIC_STATE_NOT_STARTED: "not started",
    pynvml.NVML_GPU_FABRIC_STATE_IN_PROGRESS: "in progress",
    pynvml.NVML_GPU_FABRIC_STATE_COMPLETED: "completed",
}
FABRIC_INFO = (pynvml.c_nvmlGpuFabricInfo_v3_t, pynvml.c_nvmlGpuFabricInfo_v2_t)  # drivers before R580 know no v3
VIRTUAL = {
    pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH: "passthrough",
    pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU: "vgpu",
}
GEFORCE = (pynvml.NVML_BRAND_GEFORCE, pynvml.NVML_BRAND_GEFORCE_RTX, pynvml.NVML_BRAND_TITAN)
NOTHING = (2**64 - 1, 2**32 - 1)  # what a counter that does not count says

UNKNOWN_QUESTION = (
    pynvml.NVMLError_NotSupported,
    pynvml.NVMLError_FunctionNotFound,
    pynvml.NVMLError_InvalidArgument,  # a link beyond the last one
    pynvml.NVMLError_ArgumentVersionMismatch,
    pynvml.NVMLError_Deprecated,
    pynvml.NVMLError_NotFound,
)
GONE = (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_ResetRequired)

T = TypeVar("T")


class _Lost(Exception):
    """A GPU that no longer answers."""


def read_fleet(watch_s: float = WATCH_S) -> Fleet:
    """Ask NVML. Takes `watch_s` longer if there are NVLinks, to see whether their error counters rise. Never raises."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return Fleet(why="no NVIDIA driver is installed")
    except pynvml.NVMLError as error:
        return Fleet(why="the NVIDIA driver does not answer", refused=str(error).rstrip("."))
    asker = _Asker()
    try:
        return _fleet(asker, watch_s)
    finally:
        pynvml.nvmlShutdown()


def _fleet(asker: "_Asker", watch_s: float) -> Fleet:
    every = asker.handles()
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = list(every) if said is None else chosen(said, asker.uuids(every), asker.parent)
    handles = {index: every[index] for index in seen}
    gpus = {index: gpu for index, handle in handles.items() if (gpu := asker.alive(asker.gpu, index, handle))}
    if any(link.active for gpu in gpus.values() for link in gpu.links):
        time.sleep(watch_s)
        again = {index: asker.alive(asker.watched, gpu, handles[index]) for index, gpu in gpus.items()}
        gpus = {index: gpu for index, gpu in again.items() if gpu}
    pairs = [asker.alive(asker.pair, a, b, handles) or Pair(a, b) for a in gpus for b in gpus if a < b]
    hidden = len(seen) < len(every)
    why = "CUDA_VISIBLE_DEVICES hides all that there are" if hidden else "the NVIDIA driver has none that answers"
    return Fleet(
        tuple(gpus.values()),
        tuple(pairs),
        "" if gpus else why,
        lost=tuple(asker.lost),
        unread=tuple(asker.unread),
        visible=said if hidden else None,
        of=len(every),
    )


class _Asker:
    def __init__(self) -> None:
        self.unread: list[str] = []
        self.lost: list[str] = []

    def alive(self, ask: Callable[..., T], *arguments: Any) -> T | None:
        """None for a GPU that is lost meanwhile: a half-filled description would be worse than none."""
        try:
            return ask(*arguments)
        except _Lost as gone:
            self.lost.append(str(gone))
            return None

    def handles(self) -> dict[int, Any]:
        count = self._ask("the number of GPUs", 0, pynvml.nvmlDeviceGetCount)
        ask = pynvml.nvmlDeviceGetHandleByIndex
        asked = {n: self.alive(self._ask, f"GPU {n}", None, ask, n) for n in range(count)}
        return {n: handle for n, handle in asked.items() if handle is not None}

    def uuids(self, handles: dict[int, Any]) -> dict[int, str]:
        ask = pynvml.nvmlDeviceGetUUID
        return {n: self.alive(self._ask, f"GPU {n}: UUID", "", ask, gpu) or "" for n, gpu in handles.items()}

    def parent(self, mig_uuid: str) -> int | None:
        try:
            instance = pynvml.nvmlDeviceGetHandleByUUID(mig_uuid)
            index: int = pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance))
        except pynvml.NVMLError:
            return None  # no instance of this machine, so CUDA would not find it either
        return index

    def gpu(self, n: int, gpu: Any) -> Gpu:
        memory = self._ask(f"GPU {n}: memory", None, pynvml.nvmlDeviceGetMemoryInfo, gpu)
        pci = self._ask(f"GPU {n}: PCI address", None, pynvml.nvmlDeviceGetPciInfo, gpu)
        virtual = self._ask(f"GPU {n}: virtualization", None, pynvml.nvmlDeviceGetVirtualizationMode, gpu)
        computing = self._ask(f"GPU {n}: processes", (), pynvml.nvmlDeviceGetComputeRunningProcesses, gpu, quiet=True)
        return Gpu(
            index=n,
            name=self._ask(f"GPU {n}: name", "unknown", pynvml.nvmlDeviceGetName, gpu),
            memory_bytes=memory.total if memory else 0,
            bus=pci.busId if pci else "",
            pcie=self._pcie(n, gpu),
            links=self._links(n, gpu),
            fabric=self._fabric(n, gpu),
            mig_instances=self._mig_instances(n, gpu),
            virtual=VIRTUAL.get(virtual, ""),
            geforce=self._ask(f"GPU {n}: brand", None, pynvml.nvmlDeviceGetBrand, gpu) in GEFORCE,
            c2c=self._c2c(n, gpu),
            processes=len(computing),
        )

    def watched(self, gpu: Gpu, handle: Any) -> Gpu:
        """The same GPU with how much its error counters have risen since."""
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
                break  # the others would fail in the same way
            if state is not None:  # else it is beyond the last link, or this board does not use it
                links.append(self._link(n, gpu, link) if state else self._dark(n, gpu, link))
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

    def _dark(self, n: int, gpu: Any, link: int) -> NvLink:
        """One that is down. Errors that it counted tell one that was up before from one that leads nowhere."""
        return NvLink(link, active=False, errors=self._errors(n, gpu, link))

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
        return {name: count for name, count in counts.items() if count is not None and count not in NOTHING}

    def _fabric(self, n: int, gpu: Any) -> Fabric | None:
        for layout in FABRIC_INFO:
            info, quiet = layout(), layout is not FABRIC_INFO[-1]
            ask = (f"GPU {n}: fabric", None, pynvml.nvmlDeviceGetGpuFabricInfoV, gpu, byref(info))
            if self._ask(*ask, quiet=quiet) is not None:
                break
        else:
            return None
        if info.state not in FABRIC_STATE:
            return None
        return Fabric(
            FABRIC_STATE[info.state],
            "" if info.status == pynvml.NVML_SUCCESS else str(pynvml.NVMLError(info.status)),
            FABRIC_HEALTH.get(getattr(info, "healthSummary", 0), ""),
            faults(info.healthMask),
        )

    def _mig_instances(self, n: int, gpu: Any) -> int | None:
        mode = self._ask(f"GPU {n}: MIG", None, pynvml.nvmlDeviceGetMigMode, gpu)
        if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return None
        most = self._ask(f"GPU {n}: MIG instances", 0, pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu)
        ask = pynvml.nvmlDeviceGetMigDeviceHandleByIndex
        found = [self._ask(f"GPU {n}: MIG instance {i}", None, ask, gpu, i) for i in range(most)]
        return sum(1 for instance in found if instance is not None)

    def _c2c(self, n: int, gpu: Any) -> bool:
        fields = [pynvml.NVML_FI_DEV_C2C_LINK_COUNT]
        values = self._ask(f"GPU {n}: C2C links", (), pynvml.nvmlDeviceGetFieldValues, gpu, fields)
        return any(value.nvmlReturn == pynvml.NVML_SUCCESS and value.value.uiVal > 0 for value in values)

    def _ask(self, what: str, otherwise: T, call: Callable[..., Any], *arguments: Any, quiet: bool = False) -> Any | T:
        """The answer, or `otherwise` if the call fails. Raises _Lost."""
        try:
            return call(*arguments)
        except GONE as gone:
            raise _Lost(f"{what}: {gone}") from gone
        except UNKNOWN_QUESTION:
            return otherwise
        except pynvml.NVMLError as error:
            if not quiet:
                self.unread.append(f"{what}: {str(error).rstrip('.')}")
            return otherwise


def _p2p(status: int) -> str:
    return P2P_STATUS[status] if 0 <= status <= P2P_UNKNOWN else P2P_STATUS[P2P_UNKNOWN]
