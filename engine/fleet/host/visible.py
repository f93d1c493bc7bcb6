"""Which GPUs CUDA_VISIBLE_DEVICES leaves to a process: those that its engine would run on."""

from collections.abc import Callable, Mapping


def chosen(said: str, uuids: Mapping[int, str], parent: Callable[[str], int | None]) -> list[int]:
    """The indices that it names, in NVML's order. As in CUDA, the list ends before the first entry that is no GPU.

    `uuids`: of each GPU. `parent`: the index of the GPU that a MIG instance of that name is cut from.
    """
    found: set[int] = set()
    for entry in said.split(","):
        index = _index(entry.strip(), uuids, parent)
        if index is None:
            break
        found.add(index)
    return sorted(found)


def _index(entry: str, uuids: Mapping[int, str], parent: Callable[[str], int | None]) -> int | None:
    if entry.isascii() and entry.isdigit():
        return int(entry) if int(entry) in uuids else None
    if entry.startswith("MIG-GPU-"):  # MIG-GPU-UUID/instance/instance, as drivers before R470 name them
        entry = entry.removeprefix("MIG-").partition("/")[0]
    elif entry.startswith("MIG-"):
        return parent(entry)
    named = [index for index, uuid in uuids.items() if entry.startswith("GPU-") and uuid.startswith(entry)]
    return named[0] if len(named) == 1 else None
