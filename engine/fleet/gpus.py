"""NVIDIA GPUs, by NVML."""

from typing import Any

import pynvml

NO_GPU = {"severity": "info", "what": "No NVIDIA GPU answers here: workers run on CPU cores, NVLink was not examined."}
LINKS_UNEXAMINED = {"severity": "info", "what": "This version does not examine NVLink and PCIe."}


def gpus() -> list[dict[str, Any]]:
    """Name and memory of each GPU; none where no driver answers."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        return [
            {"name": pynvml.nvmlDeviceGetName(gpu), "memory_bytes": pynvml.nvmlDeviceGetMemoryInfo(gpu).total}
            for gpu in handles
        ]
    finally:
        pynvml.nvmlShutdown()


def findings(found: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What there is to say about them."""
    return [LINKS_UNEXAMINED if found else NO_GPU]
