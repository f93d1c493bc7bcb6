"""The health mask of an NVSwitch fabric in words: fields of a few bits, as nvml.h lays them out."""

import pynvml

ROUTE, UNASSIGNED = "a route is unhealthy", "no partition is assigned"
CONFIGURATION = {
    2: "the system's GUID is wrong",
    3: "the chassis number is wrong",
    4: "the GPU is in no partition",
    5: "NVLinks are missing",
    6: "the GPU's firmware does not fit",
    7: "the GPU's location is wrong",
    8: "the GPU's state is wrong",
}
GRAVE = (ROUTE, UNASSIGNED, *CONFIGURATION.values())  # these stop traffic; the others slow it down
FIELDS = (  # where a field starts, what it says for trouble, the trouble; each is two bits wide
    (pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_DEGRADED_BW, 1, "the bandwidth is degraded"),
    (pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_RECOVERY, 1, "a route is being recovered"),
    (pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_UNHEALTHY, 1, ROUTE),
    (pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ACCESS_TIMEOUT_RECOVERY, 1, "an access has timed out"),
    (pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_PARTITION_ASSIGNED, 2, UNASSIGNED),
    (pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_GFM_STATE, 2, "the fabric manager is not connected"),
)


def faults(mask: int) -> tuple[str, ...]:
    """The troubles that it lists. A field that a driver does not fill says 0, which is none."""
    found = [trouble for shift, bad, trouble in FIELDS if mask >> shift & 3 == bad]
    wrong = mask >> pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION & 15
    return (*found, *([CONFIGURATION[wrong]] if wrong in CONFIGURATION else ()))
