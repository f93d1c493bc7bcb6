"""List the GPUs that torch can use. Run as a program, it prints them as JSON; `engine.live.gpus` reads that."""

import sys
import warnings

import msgspec
import torch

from engine.live.gpus import Found, Gpu


def look() -> Found:
    """Asks for properties and free memory, for which CUDA takes some of it as long as this process lives."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        here = torch.cuda.is_available()
    if not here:
        return Found((), _why([str(warning.message) for warning in said]))
    count = torch.cuda.device_count()
    return Found(tuple(_gpu(index, count) for index in range(count)))


def _gpu(index: int, count: int) -> Gpu:
    about = torch.cuda.get_device_properties(index)
    peers = [other for other in range(count) if other != index and torch.cuda.can_device_access_peer(index, other)]
    return Gpu(index, about.name, about.total_memory, (about.major, about.minor), tuple(peers), _free_bytes(index))


def _free_bytes(index: int) -> int:
    """0 on a GPU that others fill, or that one of them has for itself: the other GPUs can be used all the same."""
    try:
        return torch.cuda.mem_get_info(index)[0]
    except RuntimeError:
        return 0


def _why(warned: list[str]) -> str:
    if torch.version.cuda is None:
        return f"this torch, {torch.__version__}, is built without CUDA"
    return " ".join((warned or ["the driver shows it none"])[-1].split())


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(look()))
