"""One finding: what is wrong or worth knowing, what it does to a KV handoff, and what to do about it."""

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Literal, TypeVar

import msgspec

from engine.fleet.catalog.hardware import fabric
from engine.fleet.catalog.models import ModelShape
from engine.fleet.host.fleet import Fleet, Gpu
from engine.fleet.host.links import Road
from engine.units import in_time, in_words

Severity = Literal["critical", "warning", "info"]

Key = TypeVar("Key", bound=Hashable)

PROMPT_TOKENS = 4096
NVLINK_FIX = (
    "Drain the node; nvidia-smi nvlink -s and dmesg (Xid 74) say which link; reset the GPUs (nvidia-smi -r), then "
    "reboot; if it stays down, reseat the bridge or call for service."
)
PUSH_FIX = "Until then let prefill push: NixlPushConnector instead of NixlConnector on both sides."


class Finding(msgspec.Struct, frozen=True):
    """`bytes_per_s` and `handoff_s`: now, on the worst road concerned; `healthy_bytes_per_s`: once it is repaired.

    None if a finding is not about a road. Times are for one prompt of the model that `effect` names.
    """

    severity: Severity
    what: str
    effect: str = ""
    fix: str = ""
    gpus: tuple[int, ...] = ()
    bytes_per_s: float | None = None
    handoff_s: float | None = None
    healthy_bytes_per_s: float | None = None


class Tray(msgspec.Struct, frozen=True):
    """One prompt's KV, the handoff by which effects are measured."""

    model: ModelShape
    tokens: int = PROMPT_TOKENS

    @property
    def bytes(self) -> int:
        return self.model.kv_bytes(self.tokens)

    def over(self, bytes_per_s: float) -> str:
        """How long it takes at this bandwidth, in words."""
        seconds = self.bytes / bytes_per_s
        return f"{in_time(seconds)} at {in_words(bytes_per_s, 'B/s')}"

    def __str__(self) -> str:
        return f"{self.model.label}, {self.tokens:,} tokens ({in_words(self.bytes, 'B')})"


def about_road(severity: Severity, what: str, road: Road | None, tray: Tray, fix: str, why: str = "") -> Finding:
    """A finding with its effect on handoffs over `road`, if there is one. `why`: the beginning of that sentence."""
    if road is None:
        return Finding(severity, what, fix=fix)
    now, healthy = road.bytes_per_s, road.healthy_bytes_per_s
    effect = f"{why}{tray}: {'at best ' if why else ''}{tray.over(now)} over {road.label}{pulled(road, tray)}"
    if healthy > now:
        effect += f", instead of {tray.over(healthy)}"
    if road.kind == "pcie":
        fix = f"{fix} {PUSH_FIX}"
    numbers = (now, tray.bytes / now, healthy)
    return Finding(severity, what, f"{effect}.", fix, (road.a, road.b), *numbers)


def worst(between: Iterable[Road], broken: Collection[int]) -> Road | None:
    """The road that lost most, preferably one with faults at both ends. None if the GPU is the only one."""
    lost = [road for road in between if road.a in broken or road.b in broken]
    return max(
        lost,
        key=lambda road: (road.healthy_bytes_per_s / road.bytes_per_s, road.a in broken and road.b in broken),
        default=None,
    )


def pulled(road: Road, tray: Tray) -> str:
    """Without NVLink, UCX does not pull over CUDA IPC: it silently falls back to TCP (vllm issue 52607)."""
    if road.kind != "pcie":
        return ""
    return f" if pushed, {tray.over(fabric('tcp').achieved_bytes_per_s)} if pulled, as NixlConnector does"


def alike(fleet: Fleet, key: Callable[[Gpu], Key]) -> list[tuple[Key, tuple[int, ...]]]:
    """The GPUs' indexes grouped by `key`."""
    groups: dict[Key, tuple[int, ...]] = {}
    for gpu in fleet.gpus:
        groups[key(gpu)] = (*groups.get(key(gpu), ()), gpu.index)
    return list(groups.items())


def names(gpus: Iterable[int]) -> str:
    """The GPUs in words: GPU 0, GPU 1."""
    return ", ".join(f"GPU {index}" for index in gpus)
