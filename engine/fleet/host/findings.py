"""What is wrong with a fleet, what that does to a KV handoff, and how to fix it: a pure function of a snapshot."""

from collections.abc import Iterator
from itertools import groupby

from engine.fleet.host.driver_findings import about_driver, nobody
from engine.fleet.host.finding import NVLINK_FIX, Finding, Tray, about_road, alike, names, pulled, worst
from engine.fleet.host.fleet import Fleet, Gpu, Pair
from engine.fleet.host.health_mask import GRAVE
from engine.fleet.host.links import Road, pcie_bytes_per_s, roads, unbridged
from engine.units import in_words

FABRIC_FIX = "nvidia-smi -q, section Fabric; the fabric manager's log; then service for the switch tray."
MANAGER_FIX = (
    "systemctl status nvidia-fabricmanager: start it, in the driver's own version; in a virtual machine, ask the host "
    "for a partition. nvidia-smi -q, section Fabric, shows when it is done."
)
AGAIN = "Every error sends data again, so "


def findings(fleet: Fleet, tray: Tray) -> list[Finding]:
    """What is wrong, the most severe first, then what roads there are. Never empty."""
    if not fleet.gpus:
        return [*about_driver(fleet), nobody(fleet)]
    between = roads(fleet)
    found = [*about_driver(fleet), *_fabric(fleet, between, tray), *_links_down(fleet, between, tray)]
    found += [*_errors(fleet, between, tray), *_mig(fleet, tray), *_blocked(fleet, between, tray), *_pcie(fleet, tray)]
    found += _summary(between, tray)
    found.sort(key=lambda finding: ("critical", "warning", "info").index(finding.severity))
    if fleet.example:
        found.insert(0, Finding("info", "This is an example fleet that ships with the lab, not this machine."))
    return found


def about_hosts(peer: str, sent_bytes_per_s: float, received_bytes_per_s: float, tray: Tray) -> Finding:
    """What a measured link to another host means for a handoff. Bytes/s of one TCP stream, each way."""
    worse = min(sent_bytes_per_s, received_bytes_per_s)
    there, back = in_words(sent_bytes_per_s, "B/s"), in_words(received_bytes_per_s, "B/s")
    what = f"One TCP stream to {peer} carries {there} there and {back} back, measured now."
    return Finding("info", what, f"{tray}: {tray.over(worse)}.", "", (), worse, tray.bytes / worse)


def _fabric(fleet: Fleet, between: list[Road], tray: Tray) -> Iterator[Finding]:
    for fabric, gpus in alike(fleet, lambda gpu: gpu.fabric):
        if fabric is None:
            continue
        if not fabric.usable:
            state = f"did not complete ({fabric.error})" if fabric.state == "completed" else f"is {fabric.state}"
            what = f"{names(gpus)}: the setup of the NVSwitch fabric {state}, so CUDA does not start there."
            yield about_road("critical", what, worst(between, gpus), tray, MANAGER_FIX)
        elif fabric.health in ("unhealthy", "limited capacity") or fabric.faults:
            said = [fabric.health.replace("limited", "of limited")] if fabric.health not in ("", "healthy") else []
            what = f"{names(gpus)}: the NVSwitch fabric is {' and '.join(said) or 'not whole'}"
            what += f" ({', '.join(fabric.faults)})." if fabric.faults else "."
            effect = "Handoffs may be slower than the links' states below suggest; measure them."
            grave = fabric.health == "unhealthy" or any(fault in GRAVE for fault in fabric.faults)
            yield Finding("critical" if grave else "warning", what, effect, FABRIC_FIX, gpus)


def _links_down(fleet: Fleet, between: list[Road], tray: Tray) -> Iterator[Finding]:
    bare = [gpu.index for gpu in fleet.gpus if unbridged(gpu)]
    if bare:
        what = f"No NVLink was ever up on {names(bare)}: these cards take a bridge, and none seems to be fitted."
        fix = "Nothing, if there is no bridge. If there is one: nvidia-smi nvlink -s, then reseat it."
        yield Finding("info", what, "None: handoffs use the roads below.", fix, tuple(bare))
    broken = [(gpu, _dark(gpu)) for gpu in fleet.gpus if _dark(gpu) and not unbridged(gpu)]
    ends = tuple(gpu.index for gpu, _ in broken)
    if broken and len(fleet.gpus) == 1 and _dark(broken[0][0]) == len(broken[0][0].links):
        yield Finding("info", f"No NVLink is up on {names(ends)}, which is alone here.", "None.", "", ends)
    elif broken and not any(link.active for gpu in fleet.gpus for link in gpu.links):
        what = f"No NVLink is up on {names(ends)}."
        fix = f"If NVSwitches join them, first: {MANAGER_FIX} Then: {NVLINK_FIX}"
        yield about_road("warning", what, worst(between, ends), tray, fix)
    elif broken:
        counts = "; ".join(f"GPU {gpu.index}: {down} of {len(gpu.links)}" for gpu, down in broken)
        yield about_road("critical", f"NVLinks are down. {counts}.", worst(between, ends), tray, NVLINK_FIX)


def _dark(gpu: Gpu) -> int:
    return sum(1 for link in gpu.links if not link.active)


def _errors(fleet: Fleet, between: list[Road], tray: Tray) -> Iterator[Finding]:
    """One finding for the links that fail, one for those that failed before we looked."""
    rising = [gpu for gpu in fleet.gpus if any(link.active and link.rising for link in gpu.links)]
    if rising:
        counts = "; ".join(_counted(gpu, rising=True) for gpu in rising)
        what = f"NVLinks have errors that rise: they are failing. {counts}."
        road = _by_nvlink(between, rising)
        yield about_road("critical", what, road, tray, NVLINK_FIX, AGAIN)
    old = [gpu for gpu in fleet.gpus if _counted(gpu, rising=False)]
    if old:
        counts = "; ".join(_counted(gpu, rising=False) for gpu in old)
        what = f"NVLinks have counted errors since they were last reset, none while we watched. {counts}."
        fix = "Note them; if they grow under load, reseat the bridge. Reset: nvidia-smi nvlink -re."
        yield about_road("warning", what, _by_nvlink(between, old), tray, fix, AGAIN)


def _counted(gpu: Gpu, *, rising: bool) -> str:
    """Its errors, over its links together. "" without any."""
    links = [link for link in gpu.links if link.active and any(link.errors.values()) and bool(link.rising) == rising]
    if not links:
        return ""
    sums: dict[str, int] = {}
    for link in links:
        for name, count in link.errors.items():
            sums[name] = sums.get(name, 0) + count
    said = ", ".join(f"{count:,} {name}" for name, count in sums.items() if count)
    where = f"link {links[0].link}" if len(links) == 1 else f"{len(links)} links"
    new = f", {sum(link.rising for link in links):,} of them while we watched" if rising else ""
    return f"GPU {gpu.index}, {where}: {said}{new}"


def _by_nvlink(between: list[Road], gpus: list[Gpu]) -> Road | None:
    ends = {gpu.index for gpu in gpus}
    return next((road for road in between if road.kind == "nvlink" and ends & {road.a, road.b}), None)


def _mig(fleet: Fleet, tray: Tray) -> Iterator[Finding]:
    for instances, gpus in alike(fleet, lambda gpu: gpu.mig_instances):
        if instances is not None:
            what = f"{names(gpus)}: cut into MIG instances, {instances} each."
            effect = "No instance can write into another's memory, nor use NVLink: KV goes through host memory."
            yield Finding("info", what, effect, "To hand KV over NVLink, use whole GPUs: nvidia-smi -mig 0.", gpus)


def _blocked(fleet: Fleet, between: list[Road], tray: Tray) -> Iterator[Finding]:
    """Pairs that may not write into each other's memory, by what is to be done about it."""
    gpus = {gpu.index: gpu for gpu in fleet.gpus}
    reasons: dict[tuple[str, str], list[tuple[Pair, Road]]] = {}
    for pair, road in zip(fleet.pairs, between, strict=True):
        ends = (gpus[pair.a], gpus[pair.b])
        if (
            road.kind == "host"
            and pair.write not in ("ok", "unknown")
            and all(gpu.mig_instances is None for gpu in ends)
        ):
            reasons.setdefault((pair.write, _unblock(pair, *ends)), []).append((pair, road))
    for (status, fix), same in reasons.items():
        pairs = ", ".join(f"{pair.a}-{pair.b}" for pair, _ in same)
        what = f"GPUs cannot write into each other's memory ({status}): {pairs}."
        yield about_road("info" if fix == GEFORCE_FIX else "warning", what, same[0][1], tray, fix)


GEFORCE_FIX = "Nothing: NVIDIA's driver does not offer it for GeForce cards."


def _unblock(pair: Pair, a: Gpu, b: Gpu) -> str:
    if a.geforce or b.geforce:
        return GEFORCE_FIX
    if a.virtual or b.virtual:
        return "A virtual machine's host decides this: ask there for peer to peer between its GPUs."
    if pair.write == "disabled in the driver":
        return "A setting of the driver turns it off: look for NVreg_RegistryDwords in /etc/modprobe.d."
    if pair.write in ("chipset", "topology"):
        return "Turn ACS off in the BIOS and IOMMU to pass-through; use GPUs under one PCIe root; check the driver."
    return "These GPUs or their driver do not offer it to each other: use GPUs of one kind and a current driver."


def _pcie(fleet: Fleet, tray: Tray) -> Iterator[Finding]:
    for link, gpus in alike(fleet, lambda gpu: None if gpu.c2c else gpu.pcie):
        if link is None or (link.generation, link.width) == (link.max_generation, link.max_width):
            continue
        most = pcie_bytes_per_s(next(gpu for gpu in fleet.gpus if gpu.index == gpus[0]))
        now = most * 2.0 ** (link.generation - link.max_generation) * link.width / link.max_width
        yield Finding(
            "info",
            f"{names(gpus)}: PCIe runs at {link.generation}.0 x{link.width} now, and can run at "
            f"{link.max_generation}.0 x{link.max_width}.",
            f"None if it rises under load. If it does not, {tray}: {tray.over(now)}, instead of {tray.over(most)}.",
            "Look again under load: an idle GPU lets it drop. If it stays, check slot, riser and BIOS.",
            gpus,
        )


def _summary(between: list[Road], tray: Tray) -> Iterator[Finding]:
    """What roads there are, the widest first."""
    ranked = sorted(between, key=lambda road: (-road.bytes_per_s, road.label))
    for (rate, label), same in groupby(ranked, key=lambda road: (road.bytes_per_s, road.label)):
        group = list(same)
        pairs = ", ".join(f"{road.a}-{road.b}" for road in group[:8]) + (" ..." if group[8:] else "")
        gpus = tuple(sorted({index for road in group for index in (road.a, road.b)}))
        effect = f"{tray}: {tray.over(rate)}{pulled(group[0], tray)}."
        yield Finding("info", f"GPUs {pairs}: {label}.", effect, "", gpus, rate, tray.bytes / rate)
