"""A stand-in for a device, on the CPU and without its kernels: what runs on a GPU runs here with CPU tensors.

It lets every machine test that code in real worker processes. It cannot show that CUDA does what is asked of it.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from engine.live.compute import memfd
from engine.live.compute.place import Shared

ASKED = 2  # a mark is over when it has been asked so often: whoever does not ask takes unfinished work for done


class LateMark:
    """A mark that is not over yet when it is first asked."""

    def __init__(self) -> None:
        self._asked = 0

    @property
    def over(self) -> bool:
        self._asked += 1
        return self._asked > ASKED

    def wait(self) -> None:
        self._asked = ASKED


class StandIn:
    """As `engine.live.compute.cuda.Cuda`. A thread that uses it without `enter` would be on the wrong GPU: it fails."""

    name = label = "stand-in"
    device = torch.device("cpu")

    def __init__(self) -> None:
        self._entered = threading.local()

    def enter(self, side: bool = False) -> None:
        self._entered.yes = True

    def put(self, numbers: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        self._must_be_entered()
        return torch.tensor(numbers, dtype=dtype)

    def mark(self) -> LateMark:
        self._must_be_entered()
        return LateMark()

    def finish(self) -> None:
        self._must_be_entered()

    def fuses(self, dtype: torch.dtype) -> bool:
        return True

    def keep_within(self, nbytes: int) -> None:
        """It has no memory of its own."""

    def shareable_zeros(self, nbytes: int) -> tuple[torch.Tensor, Callable[[], Shared]]:
        memory, path = memfd.create("kv-pool", nbytes)
        return torch.frombuffer(memory, dtype=torch.int64), partial(Shared, nbytes, path.encode(), path)

    def open(self, shared: Shared) -> torch.Tensor:
        try:
            memory = memfd.attach(shared.handle.decode(), shared.nbytes)
        except ValueError as smaller:
            raise OSError(str(smaller)) from smaller
        return torch.frombuffer(memory, dtype=torch.int64)

    def staging(self, nbytes: int) -> torch.Tensor:
        return torch.empty(nbytes // 8, dtype=torch.int64)

    def record(self, acts: Sequence[Callable[[], torch.Tensor]]) -> list[tuple[Callable[[], None], torch.Tensor]]:
        self._must_be_entered()
        return [self._recorded(act) for act in acts]

    def _recorded(self, act: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        made = act()

        def again() -> None:
            made.copy_(act())

        return again, made

    def _must_be_entered(self) -> None:
        assert hasattr(self._entered, "yes"), f"thread {threading.current_thread().name} has not entered the device"
