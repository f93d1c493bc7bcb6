"""Where a worker computes and keeps its KV: on the host, or on a device, which is an accelerator with its own memory.

The host computes at once. A device has a queue: what it is given returns before it is done. So whoever says that
something is done waits for it first, by a `Mark` or by `finish`. Only `engine.live.compute.cuda` knows a real device.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeGuard

import msgspec
import torch


class Mark(Protocol):
    """A point in the work that a thread has given to a device."""

    @property
    def over(self) -> bool:
        """Whether the device has done everything up to here; asking costs microseconds."""

    def wait(self) -> None:
        """Until it is over; other threads run meanwhile."""


class Place(Protocol):
    """What computing needs to know of a place."""

    name: str  # "cpu", "cuda:1"
    label: str  # for people: the GPU's own name; "" on the host
    device: torch.device

    def enter(self, side: bool = False) -> None:
        """Each thread calls this before anything else. `side`: its work may wait for that of the other threads."""

    def put(self, numbers: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        """A tensor of these numbers, given as nested lists or as NumPy's; the thread does not wait for the copy."""

    def mark(self) -> Mark | None:
        """After everything that this thread has given to the device so far. None: all is done when it returns."""

    def finish(self) -> None:
        """Wait until everything that this thread has given to the device is done."""


class Shared(msgspec.Struct, frozen=True):
    """How another process opens a device's memory. `owner`: a path that is there as long as the owning process."""

    nbytes: int
    handle: bytes
    owner: str


class Device(Place, Protocol):
    """A place whose memory NumPy cannot read. Memory is int64 [words]."""

    def fuses(self, dtype: torch.dtype) -> bool:
        """Whether torch has fused attention in this dtype for it. Without, it would keep all scores of a prompt."""

    def keep_within(self, nbytes: int) -> None:
        """This process takes no more of the device's memory than that, from now on. Waits some seconds until so much
        is free: an ended process gives its memory back a moment later."""

    def shareable_zeros(self, nbytes: int) -> tuple[torch.Tensor, Callable[[], Shared]]:
        """Memory, and what lets other processes of this machine open it: call that once, and keep the memory then."""

    def open(self, shared: Shared) -> torch.Tensor:
        """Another process's memory; it is closed with the last reference to it. Raises OSError or RuntimeError."""

    def staging(self, nbytes: int) -> torch.Tensor:
        """The host's memory, int64 [words], in the form that the device copies fastest."""

    def record(self, acts: Sequence[Callable[[], torch.Tensor]]) -> list[tuple[Callable[[], None], torch.Tensor]]:
        """For each: what does it again whenever it is called, with one launch, and the tensor that it writes to.

        They share memory: a result lasts until the next is made. An act asks the device for no number and takes all its
        numbers from tensors that stay where they are. Raises RuntimeError where that can't be recorded.
        """


class Host:
    """The CPU: `finish` and marks have nothing to wait for."""

    name = "cpu"
    label = ""
    device = torch.device("cpu")

    def enter(self, side: bool = False) -> None:
        """A thread of the host is there already."""

    def put(self, numbers: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        return torch.tensor(numbers, dtype=dtype)

    def mark(self) -> None:
        return None

    def finish(self) -> None:
        """Everything is done when it returns."""


HOST = Host()


def is_device(place: Place) -> TypeGuard[Device]:
    """Whether it is anything but the host."""
    return not isinstance(place, Host)
