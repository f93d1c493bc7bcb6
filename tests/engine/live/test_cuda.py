"""What can be said of CUDA's file without a GPU: that torch has what it names, and where it opens another's memory."""

import inspect
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from engine.live.compute.cuda import Cuda
from engine.live.compute.place import Shared


def test_torch_has_the_names_that_it_has_no_promise_for() -> None:
    assert callable(torch.UntypedStorage._share_cuda_)
    assert callable(torch.UntypedStorage._new_shared_cuda)
    passed_on = inspect.getsource(torch.multiprocessing.reductions.rebuild_cuda_tensor)
    call = passed_on[passed_on.index("_new_shared_cuda(") :]
    names = [name.strip() for name in call[call.index("(") + 1 : call.index(")")].split(",") if name.strip()]
    assert names == [
        "storage_device",
        *("storage_handle", "storage_size_bytes", "storage_offset_bytes"),
        *("ref_counter_handle", "ref_counter_offset", "event_handle", "event_sync_required"),
    ], "what `_share_cuda_` returns has changed"


def test_recording_takes_what_it_is_given_in_that_order() -> None:
    taken = list(inspect.signature(torch.cuda.graph.__init__).parameters)
    assert taken[:5] == ["self", "cuda_graph", "pool", "stream", "capture_error_mode"]


@pytest.mark.parametrize(
    ("owner", "reached", "opened_on"),
    [
        ("GPU-0", False, 0),  # one GPU for both workers
        ("GPU-1", True, 0),  # this GPU's kernels write to the other one
        ("GPU-1", False, 1),  # they can't, so the driver copies
    ],
)
def test_memory_is_opened_where_it_can_be_written(
    owner: str, reached: bool, opened_on: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def new_shared(*arguments: Any) -> torch.UntypedStorage:
        asked.append(arguments)
        return torch.arange(8).untyped_storage()

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"GPU-{device.index}"))
    monkeypatch.setattr(torch.cuda, "can_device_access_peer", lambda mine, theirs: reached)
    monkeypatch.setattr(torch.UntypedStorage, "_new_shared_cuda", new_shared)
    handle = (b"handle", 64, 0, b"counter", 0, b"event", True)
    here = Cuda("cuda:0")
    memory = here.open(Shared(48, msgspec.msgpack.encode((owner, handle)), "/proc/1/fd/3"))
    assert asked == [(opened_on, *handle)]
    assert memory.tolist() == [*range(6)]
    assert {device.index for device in here._reached} == {0, opened_on}, "whose queues `finish` waits for"


def test_a_gpu_that_cannot_be_seen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    with pytest.raises(RuntimeError, match="GPU GPU-7 cannot be seen from here"):
        Cuda("cuda:0").open(Shared(8, msgspec.msgpack.encode(("GPU-7", ())), ""))
