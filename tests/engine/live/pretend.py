"""The runner and a handoff on an accelerator that is only pretended: `python -m tests.engine.live.pretend MODELS`.

torch has a device without a name for backends made elsewhere. Here it gets one, and tensors on it have a device and a
shape but no numbers. So a tensor that was left on the host fails where it meets one of the device's, and so does
whatever asks the device for a number, which on a GPU would wait for all the work it was given. This renames something
in the whole process, hence a process of its own. It prints how many operations each step took.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors import safe_open
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from engine.live.compute import attention, forward, weights
from engine.live.compute.kv import DevicePool
from engine.live.compute.place import Shared
from engine.live.compute.recorded import RecordedDecode
from engine.live.compute.runner import Runner
from engine.live.handoff.device_checksum import DeviceChecksum
from engine.live.model.catalog import Prepared, prepare
from engine.live.model.folder import weight_files
from engine.plan import Piece
from engine.request import Sampling
from engine.scenario import ModelSpec

BLOCKS = 96


class Pretended:
    """A place with no memory and no time."""

    name = label = "pretend"

    def __init__(self) -> None:
        self.device = torch.device("pretend", 0)

    def enter(self, side: bool = False) -> None: ...

    def put(self, numbers: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        return torch.empty(np.shape(numbers), dtype=dtype, device=self.device)

    def mark(self) -> None:
        return None

    def finish(self) -> None: ...

    def fuses(self, dtype: torch.dtype) -> bool:
        return True

    def keep_within(self, nbytes: int) -> None: ...

    def shareable_zeros(self, nbytes: int) -> tuple[torch.Tensor, Callable[[], Shared]]:
        return torch.zeros(nbytes // 8, dtype=torch.int64, device=self.device), lambda: Shared(nbytes, b"", "")

    def open(self, shared: Shared) -> torch.Tensor:
        return self.shareable_zeros(shared.nbytes)[0]

    def staging(self, nbytes: int) -> torch.Tensor:
        return torch.empty(nbytes // 8, dtype=torch.int64)

    def record(self, acts: Sequence[Callable[[], torch.Tensor]]) -> list[tuple[Callable[[], None], torch.Tensor]]:
        return [(lambda: None, act()) for act in acts]


class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what a GPU would be given: views and fresh memory cost it nothing."""

    FREE = ("empty", "view", "reshape", "as_strided", "detach", "alias", "transpose", "slice", "select", "unsqueeze",
            "expand", "split", "unbind", "chunk", "permute", "squeeze", "lift_fresh", "t")  # fmt: skip

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.of: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::").strip("_")
        if not name.startswith(("prim::", *self.FREE)):
            self.of[name] += 1
        return func(*args, **(kwargs or {}))


def without_numbers(prepared: Prepared, device: torch.device) -> Mapping[str, torch.Tensor]:
    """As `weights._tensors`, with the shapes alone."""
    tensors = {}
    for file in weight_files(Path(prepared.folder), prepared.variant):
        if file.exists():
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    shape = opened.get_slice(name).get_shape()
                    tensors[name] = torch.empty(shape, dtype=getattr(torch, prepared.dtype), device=device)
    return tensors


def causal(rows: int, seen: int) -> torch.Tensor:
    """The mask that torch makes of it where it has no fused kernel."""
    return torch.ones(rows, seen, dtype=torch.bool, device=torch.device("pretend", 0)).tril(seen - rows)


def one_kernel(rows: torch.Tensor, *_: object) -> torch.Tensor:
    """What a norm is on a GPU; for a device that it does not know, torch makes it of nine operations."""
    return rows.clone()


def steps() -> dict[str, list[Piece]]:
    def piece(name: str, first: int, last: int, blocks: range) -> Piece:
        return Piece(name, first, (7,) * (last - first), tuple(blocks), Sampling(), 0)

    one, two, three = range(24), range(30, 60), range(70, 80)
    return {
        "prefill": [piece("one", 0, 300, one)],
        "decode": [piece("one", 300, 301, one), piece("two", 200, 201, two), piece("three", 0, 1, three)],
        "mixed": [piece("one", 301, 302, one), piece("two", 100, 200, two), piece("three", 0, 40, three)],
    }


def operations(path: str) -> dict[str, int]:
    """Of each step, and of the handoff of a piece."""
    prepared = prepare(ModelSpec(path, "bf16"))
    counted: dict[str, int] = {}
    with FakeTensorMode(), torch.no_grad():
        here = Pretended()
        pool = DevicePool(prepared.kv_shape, BLOCKS, here)
        model = weights.mapped(prepared, here)
        assert model is not None
        runner = Runner(model, pool)
        layers: list[int] = []
        for name, pieces in steps().items():
            with Counted() as given:
                logits = runner.logits(pieces, layers.append)
            assert logits.device == here.device
            counted[name] = given.of.total()
        assert layers == [*range(prepared.kv_shape.layers)] * 3
        recorded = RecordedDecode(runner._forward, pool, runner._optimizations)
        with Counted() as given:
            again = recorded.logits(steps()["decode"], None)
        assert again is not None
        assert again.device == here.device
        counted["recorded"] = given.of.total()
        made, rows = DeviceChecksum(here, prepared.kv_shape.row_bytes), np.arange(10)
        with Counted() as given:
            made.add_and_copy(pool.rows, rows, here.open(pool.shared).view_as(pool.rows), rows)
        counted["handoff"] = given.of.total()
        for number in (lambda: int(logits.max()), made.hexdigest):  # else nothing would have been noticed above
            try:
                number()
            except DataDependentOutputException:
                continue
            raise AssertionError("a number came out of a device that has none")
    return counted


if __name__ == "__main__":
    _setup_privateuseone_for_python_backend("pretend")
    weights._tensors = without_numbers
    vars(attention)["causal_lower_right"] = causal  # torch's is a kind of tensor that can't be without numbers
    vars(forward)["rms_norm"] = one_kernel
    sys.stdout.buffer.write(msgspec.json.encode({path: operations(path) for path in sys.argv[1:]}))
