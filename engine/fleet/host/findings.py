"""What is wrong with a fleet, what it does to a KV handoff, and how to mend it: a pure function of NVML's snapshot."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import groupby
from typing import Literal, TypeVar

import msgspec

from engine.fleet.catalog.hardware import fabric
from engine.fleet.catalog.models import ModelShape
from engine.fleet.host.links import Road, pcie_bytes_per_s, roads
from engine.fleet.host.nvml import Fleet, Gpu
from engine.units import in_words

Severity = Literal["critical", "warning", "info"]

Key = TypeVar("Key", bound=Hashable)

PROMPT_TOKENS = 4096
NVLINK_FIX = (
    "Drain the node; nvidia-smi nvlink -s and dmesg (Xid 74) say which link; reset the GPUs (nvidia-smi -r), then "
    "reboot; if it stays down, reseat the bridge or call for service."
)
BRIDGE_REMARK = "If no bridge was ever fitted there, nothing is broken: NVML cannot tell."
PUSH_FIX = "Until then let prefill push: NixlPushConnector instead of NixlConnector on both sides."


class Finding(msgspec.Struct, frozen=True):
    """`bytes_per_s` and `handoff_s`: now, on the worst road that is meant; `healthy_bytes_per_s`: if it were mended.

    None where a finding is not about a road. Times are for one prompt of the model that `effect` names.
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
    """The handoff that effects are counted in: one prompt's KV."""

    model: ModelShape
    tokens: int = PROMPT_TOKENS

    @property
    def bytes(self) -> int:
        return self.model.kv_bytes(self.tokens)

    def over(self, bytes_per_s: float) -> str:
        seconds = self.bytes / bytes_per_s
        time = f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
        return f"{time} at {in_words(bytes_per_s, 'B/s')}"

    def __str__(self) -> str:
        return f"{self.model.label}, {self.tokens:,} tokens ({in_words(self.bytes, 'B')})"


def findings(fleet: Fleet, tray: Tray) -> list[Finding]:
    """The gravest first. Never empty."""
    if not fleet.gpus:
        return [*_unread(fleet), _nobody(fleet)]
    between = roads(fleet)
    found = [*_unread(fleet), *_links_down(fleet, between, tray), *_errors(fleet, between, tray)]
    found += [*_fabric(fleet), *_blocked(fleet, between, tray), *_pcie(fleet, tray), *_summary(between, tray)]
    found.sort(key=lambda finding: ("critical", "warning", "info").index(finding.severity))
    if fleet.example:
        found.insert(0, Finding("info", "This is an example fleet that ships with the lab, not this machine."))
    return found


def about_hosts(peer: str, sent_bytes_per_s: float, received_bytes_per_s: float, tray: Tray) -> Finding:
    """What a measured road to another host means. Bytes/s of one TCP stream, each way."""
    worse = min(sent_bytes_per_s, received_bytes_per_s)
    there, back = in_words(sent_bytes_per_s, "B/s"), in_words(received_bytes_per_s, "B/s")
    what = f"One TCP stream to {peer} carries {there} there and {back} back, measured now."
    return Finding("info", what, f"{tray}: {tray.over(worse)}.", "", (), worse, tray.bytes / worse)


def _nobody(fleet: Fleet) -> Finding:
    return Finding(
        "info",
        f"No NVIDIA GPU here: {fleet.why}. Workers run on CPU cores, and there is no NVLink to examine.",
        fix="To see what would be examined: split-kitchen doctor --example.",
    )


def _unread(fleet: Fleet) -> Iterator[Finding]:
    if fleet.unread:
        more = f", and {len(fleet.unread) - 1} more calls" if fleet.unread[1:] else ""
        what = f"NVML did not answer everything. {fleet.unread[0]}{more}."
        fix = "Look for an Xid in dmesg; a GPU that is lost needs a reset or a reboot."
        yield Finding("critical", what, "What did not answer is left out below.", fix)


def _links_down(fleet: Fleet, between: list[Road], tray: Tray) -> Iterator[Finding]:
    broken = [(gpu, sum(1 for link in gpu.links if not link.active)) for gpu in fleet.gpus]
    broken = [(gpu, down) for gpu, down in broken if down]
    joined = {gpu.index for gpu in fleet.gpus if any(link.active for link in gpu.links)}
    if broken and not joined:
        what = f"No NVLink is up on {_names(gpu.index for gpu, _ in broken)}: no bridge is fitted, or all are down."
        yield _about_road("warning", what, _worst(between, broken), tray, NVLINK_FIX)
    elif broken:
        counts = "; ".join(f"GPU {gpu.index}: {down} of {len(gpu.links)}" for gpu, down in broken)
        bridged = not any(link.remote == "switch" for gpu in fleet.gpus for link in gpu.links)
        fix = f"{NVLINK_FIX} {BRIDGE_REMARK}" if bridged else NVLINK_FIX
        yield _about_road("critical", f"NVLinks are down. {counts}.", _worst(between, broken), tray, fix)


def _worst(between: list[Road], broken: list[tuple[Gpu, int]]) -> Road | None:
    """The road that lost most, if possible one whose both ends are broken. None for a GPU that is alone."""
    touched = {gpu.index for gpu, _ in broken}
    lost = [road for road in between if touched & {road.a, road.b}]
    return max(
        lost, key=lambda road: (road.healthy_bytes_per_s / road.bytes_per_s, {road.a, road.b} <= touched), default=None
    )


def _errors(fleet: Fleet, between: list[Road], tray: Tray) -> Iterator[Finding]:
    for gpu in fleet.gpus:
        for link in gpu.links:
            if not any(link.errors.values()):
                continue
            said = ", ".join(f"{count:,} {name}" for name, count in link.errors.items() if count)
            road = next((road for road in between if gpu.index in (road.a, road.b) and road.kind == "nvlink"), None)
            what = f"GPU {gpu.index}, NVLink {link.link} has errors: {said}"
            if link.rising:
                what += f", {link.rising:,} of them while we watched. A link whose errors rise is failing."
                yield _about_road("critical", what, road, tray, NVLINK_FIX, "Every error sends data again, so ")
            else:
                fix = "Note them; if they grow under load, reseat the bridge. Reset: nvidia-smi nvlink -re."
                what += " since they were last reset; none while we watched."
                yield _about_road("warning", what, road, tray, fix, "Every error sends data again, so ")


def _fabric(fleet: Fleet) -> Iterator[Finding]:
    for health, gpus in _alike(fleet, lambda gpu: gpu.fabric_health):
        if health not in ("", "healthy"):
            what = f"{_names(gpus)}: the NVSwitch fabric is {health.replace('limited', 'of limited')}."
            fix = "nvidia-smi -q, section Fabric; the fabric manager's log; then service for the switch tray."
            effect = "Handoffs may be slower than the links' states below suggest; measure them."
            yield Finding("critical" if health == "unhealthy" else "warning", what, effect, fix, gpus)


def _blocked(fleet: Fleet, between: list[Road], tray: Tray) -> Iterator[Finding]:
    blocked = [
        (pair, road)
        for pair, road in zip(fleet.pairs, between, strict=True)
        if road.kind == "host" and pair.write not in ("ok", "unknown")
    ]
    if blocked:
        pairs = ", ".join(f"{pair.a}-{pair.b}" for pair, _ in blocked)
        what = f"GPUs cannot write into each other's memory ({blocked[0][0].write}): {pairs}."
        fix = "Turn ACS off in the BIOS and IOMMU to pass-through; use GPUs under one PCIe root; check the driver."
        yield _about_road("warning", what, blocked[0][1], tray, fix)


def _pcie(fleet: Fleet, tray: Tray) -> Iterator[Finding]:
    for gpu in fleet.gpus:
        link = gpu.pcie
        if link is None:
            continue
        if link.width < link.max_width:
            now, whole = pcie_bytes_per_s(gpu), pcie_bytes_per_s(gpu) * link.max_width / link.width
            yield Finding(
                "warning",
                f"GPU {gpu.index}: {link.width} of {link.max_width} PCIe lanes.",
                f"{tray}: {tray.over(now)} through this slot, instead of {tray.over(whole)}.",
                "Reseat the card or its riser; see which slots share lanes; BIOS bifurcation.",
                (gpu.index,),
                *(now, tray.bytes / now, whole),
            )
    for (now, most), gpus in _alike(
        fleet, lambda gpu: (gpu.pcie.generation, gpu.pcie.max_generation) if gpu.pcie else (0, 0)
    ):
        if now < most:
            what = f"{_names(gpus)}: PCIe runs at {now}.0 now, and can {most}.0."
            fix = "Look again under load: an idle GPU lets it drop. If it stays, check slot, riser and BIOS."
            yield Finding("info", what, "None if it rises under load.", fix, gpus)


def _summary(between: list[Road], tray: Tray) -> Iterator[Finding]:
    """What roads there are, the widest first."""
    ranked = sorted(between, key=lambda road: (-road.bytes_per_s, road.label))
    for (rate, label), same in groupby(ranked, key=lambda road: (road.bytes_per_s, road.label)):
        group = list(same)
        pairs = ", ".join(f"{road.a}-{road.b}" for road in group[:8]) + (" ..." if group[8:] else "")
        gpus = tuple(sorted({index for road in group for index in (road.a, road.b)}))
        effect = f"{tray}: {tray.over(rate)}{_pulled(group[0], tray)}."
        yield Finding("info", f"GPUs {pairs}: {label}.", effect, "", gpus, rate, tray.bytes / rate)


def _about_road(severity: Severity, what: str, road: Road | None, tray: Tray, fix: str, why: str = "") -> Finding:
    if road is None:
        return Finding(severity, what, fix=fix)
    now, healthy = road.bytes_per_s, road.healthy_bytes_per_s
    effect = f"{why}{tray}: {'at best ' if why else ''}{tray.over(now)} over {road.label}{_pulled(road, tray)}"
    if healthy > now:
        effect += f", instead of {tray.over(healthy)}"
    if road.kind == "pcie":
        fix = f"{fix} {PUSH_FIX}"
    numbers = (now, tray.bytes / now, healthy)
    return Finding(severity, what, f"{effect}.", fix, (road.a, road.b), *numbers)


def _pulled(road: Road, tray: Tray) -> str:
    """UCX does not pull over CUDA IPC where no NVLink is up: it falls to TCP and says nothing (vllm issue 52607)."""
    if road.kind != "pcie":
        return ""
    return f" if pushed, {tray.over(fabric('tcp').achieved_bytes_per_s)} if pulled, as NixlConnector does"


def _alike(fleet: Fleet, key: Callable[[Gpu], Key]) -> list[tuple[Key, tuple[int, ...]]]:
    """GPUs of which the same is to be said, together."""
    alike: dict[Key, tuple[int, ...]] = {}
    for gpu in fleet.gpus:
        alike[key(gpu)] = (*alike.get(key(gpu), ()), gpu.index)
    return list(alike.items())


def _names(gpus: Iterable[int]) -> str:
    return ", ".join(f"GPU {index}" for index in gpus)
