"""What NVML itself would not answer, and which GPUs are not examined."""

from collections.abc import Iterator

from engine.fleet.host.finding import Finding
from engine.fleet.host.fleet import Fleet

LOST_FIX = "Look for an Xid in dmesg; a GPU that is lost needs a reset (nvidia-smi -r) or a reboot."
REFUSED_FIX = {  # by the words of pynvml's errors
    "Driver Not Loaded": "modprobe nvidia; if it does not load, dmesg says why (Secure Boot, nouveau, another kernel).",
    "RM has detected an NVML/RM version mismatch": (
        "The driver was updated while its old kernel module stayed loaded: reboot. In a container, start it again, so "
        "that it gets the new driver's libraries."
    ),
    "Insufficient Permissions": (
        "This user may not open the driver's devices: see ls -l /dev/nvidia*, and the groups video and render. A "
        "container needs --gpus all."
    ),
}
OTHER_FIX = "nvidia-smi may say more, and so may dmesg."


def about_driver(fleet: Fleet) -> Iterator[Finding]:
    """Findings about NVML and the driver, before those about GPUs."""
    if fleet.refused:
        fix = REFUSED_FIX.get(fleet.refused, OTHER_FIX)
        yield Finding("warning", f"NVML does not start: {fleet.refused}.", "No GPU can be examined.", fix)
    if fleet.lost:
        what = f"A GPU no longer answers. {_listed(fleet.lost)}."
        yield Finding("critical", what, "It is left out below.", LOST_FIX)
    if fleet.unread:
        what = f"NVML did not answer everything. {_listed(fleet.unread)}."
        yield Finding("info", what, "What it did not answer counts as unknown.")
    if fleet.visible is not None and fleet.gpus:
        what = f"CUDA_VISIBLE_DEVICES is {fleet.visible!r}: {len(fleet.gpus)} of {fleet.of} GPUs are examined."
        fix = "Numbers are NVML's; CUDA counts in the same order with CUDA_DEVICE_ORDER=PCI_BUS_ID."
        yield Finding("info", what, "", fix)


def nobody(fleet: Fleet) -> Finding:
    """There is no GPU, and why."""
    return Finding(
        "info",
        f"No NVIDIA GPU here: {fleet.why}. Workers run on CPU cores, and there is no NVLink to examine.",
        fix="To see what would be examined: split-kitchen doctor --example.",
    )


def _listed(sentences: tuple[str, ...]) -> str:
    return sentences[0] + (f", and {len(sentences) - 1} more calls" if sentences[1:] else "")
