"""What can be said of CUDA's file without a GPU: that torch has what it names, and where it opens another's memory."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from engine.live.compute.cuda import Cuda
from engine.live.compute.kv import DevicePool
from engine.live.compute.optimizations import ALL
from engine.live.compute.place import Shared
from engine.live.gpus import CONTEXT_BYTES
from engine.live.model.shape import KvShape


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
    handle = (b"handle", 64, 0, b"counter", 0, b"event", False)
    here = Cuda("cuda:0")
    memory = here.open(Shared(48, msgspec.msgpack.encode((owner, handle)), "/proc/1/fd/3"))
    assert asked == [(opened_on, *handle)]
    assert memory.tolist() == [*range(6)]
    assert {device.index for device in here._reached} == {0, opened_on}, "whose queues `finish` waits for"


class Recorder:
    """As `torch.cuda.graph`, `CUDAGraph` and the streams, as far as they are asked for anything."""

    def __init__(self) -> None:
        self.handles = 0
        self.given: list[tuple[Any, ...]] = []

    def handle(self) -> int:
        self.handles += 1
        return self.handles

    @contextmanager
    def graph(self, *given: Any) -> Iterator[None]:
        self.given.append(given)
        yield


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "mine")
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: "default")
    return Cuda("cuda:0")


def test_each_series_of_recordings_has_memory_of_its_own(one_gpu: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch fails on a handle whose graphs have all ended."""
    recorder, done = Recorder(), list[int]()
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", recorder.handle)
    monkeypatch.setattr(torch.cuda, "graph", recorder.graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))

    def act(number: int) -> torch.Tensor:
        done.append(number)
        return torch.tensor(number)

    for _ in range(2):
        made = one_gpu.record([partial(act, 1), partial(act, 2)])
        assert [int(result) for _, result in made] == [1, 2]
    assert done == [1, 1, 2, 2] * 2, "each is done once before it is recorded"
    assert [given[1:] for given in recorder.given] == [(n, "mine", "thread_local") for n in (1, 1, 2, 2)]
    assert len({id(given[0]) for given in recorder.given}) == 4


def test_memory_is_shared_only_when_that_is_asked_and_nobody_waits_for_an_event(
    one_gpu: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was shared once, torch never frees in this process."""
    here, asked = torch.zeros(8, dtype=torch.int64), list[str]()

    def share(storage: Any) -> tuple[Any, ...]:
        asked.append("shared")
        return (0, b"handle", 64, 0, b"counter", 0, b"event", True)

    monkeypatch.setattr(torch, "zeros", lambda *_, **__: here)
    monkeypatch.setattr(torch.UntypedStorage, "_share_cuda_", share)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="GPU-0"))
    monkeypatch.setattr(Cuda, "finish", lambda self: asked.append("finished"))
    pool = DevicePool(KvShape(1, 1, 2, 1, "float32"), 2, one_gpu)
    assert asked == []
    first, again = pool.shared, pool.shared
    assert first is again
    assert asked == ["finished", "shared"]
    uuid, opened_with = msgspec.msgpack.decode(first.handle)
    assert (uuid, opened_with) == ("GPU-0", [b"handle", 64, 0, b"counter", 0, b"event", False])


def test_a_worker_keeps_within_its_share_once_that_is_free(one_gpu: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    free, limits = [1_000, 5_000_000_000, 9_000_000_000], list[float]()
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free.pop(0), 20_000_000_000))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=20_000_000_000)
    )
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: limits.append(share))
    one_gpu.keep_within(8_000_000_000 + CONTEXT_BYTES)
    assert free == [], "an ended process still had some of it"
    assert limits == [0.4]


@pytest.mark.parametrize(("capability", "fuses"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bf16_is_fused_where_a_gpu_has_it(
    capability: tuple[int, int], fuses: bool, one_gpu: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere torch would keep all scores of a prompt at once."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert one_gpu.fuses(torch.bfloat16) == fuses
    assert one_gpu.fuses(torch.float16)
    assert ALL.on_device(fuses).flash_prefill == fuses
    assert ALL.on_device(fuses).blocked_attention, "what takes its place"


def test_attention_makes_no_plans_and_fp32_is_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    attention: Any = torch.backends.cuda  # torch gives its functions no types
    before = attention.cudnn_sdp_enabled(), torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    try:
        attention.enable_cudnn_sdp(True)
        torch.set_float32_matmul_precision("high")
        Cuda("cuda:0")
        assert not attention.cudnn_sdp_enabled()
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        attention.enable_cudnn_sdp(before[0])
        torch.set_float32_matmul_precision(before[1])


def test_a_gpu_that_cannot_be_seen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    with pytest.raises(RuntimeError, match="GPU GPU-7 cannot be seen from here"):
        Cuda("cuda:0").open(Shared(8, msgspec.msgpack.encode(("GPU-7", ())), ""))
