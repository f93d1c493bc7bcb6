"""NVIDIA GPUs as places, through torch alone: the one file that names CUDA's own ways.

CUDA's current device and stream belong to a thread, hence `Place.enter`. Pools are opened by other processes through
CUDA IPC, which torch has under two private names, `_share_cuda_` and `_new_shared_cuda`; `multiprocessing.reductions`,
which uses them, would have both sides speak pickle. Nothing here needs a torch newer than 2.11.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import torch

from engine.live.compute import memfd
from engine.live.compute.place import Mark, Shared
from engine.live.gpus import BF16_SINCE, CONTEXT_BYTES

untyped: Any = torch.cuda  # torch gives these classes no types
COMPUTE, SIDE = -1, 0  # priorities of streams: the lower goes first
FREED_S = 10.0  # how long the driver may take to give back the memory of a process that has ended
LOOK_S = 0.1


class CudaMark:
    """An event on the stream of the thread that made it."""

    def __init__(self) -> None:
        self._event = untyped.Event(blocking=True)  # so that `wait` sleeps, and lets go of the interpreter
        self._event.record()

    @property
    def over(self) -> bool:
        return bool(self._event.query())

    def wait(self) -> None:
        self._event.synchronize()


class Cuda:
    """One GPU, by its index among those that this process may see. All workers see all of them: peers must."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = torch.device(name)
        self.label = torch.cuda.get_device_name(self.device)
        # cuDNN's attention plans each new length, for tens or hundreds of milliseconds. Where torch prefers it (Hopper,
        # Blackwell), every prompt would pay for that.
        torch.backends.cuda.enable_cudnn_sdp(False)
        # fp32 means fp32, whatever a container's environment says: NVIDIA's own have torch round it to TF32
        torch.set_float32_matmul_precision("highest")
        self._reached: tuple[torch.device, ...] = (self.device,)  # devices whose queues this process fills

    def enter(self, side: bool = False) -> None:
        torch.cuda.set_device(self.device)
        torch.cuda.set_stream(untyped.Stream(self.device, priority=SIDE if side else COMPUTE))

    def put(self, numbers: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        self._must_be_current()
        return torch.tensor(numbers, dtype=dtype).pin_memory().to(self.device, non_blocking=True)

    def mark(self) -> Mark:
        self._must_be_current()
        return CudaMark()

    def finish(self) -> None:
        for device in self._reached:
            torch.cuda.current_stream(device).synchronize()

    def fuses(self, dtype: torch.dtype) -> bool:
        return dtype != torch.bfloat16 or torch.cuda.get_device_capability(self.device) >= BF16_SINCE

    def keep_within(self, nbytes: int) -> None:
        give_up_s = time.monotonic() + FREED_S
        nbytes -= CONTEXT_BYTES  # which this process has by now, and which torch does not count
        while torch.cuda.mem_get_info(self.device)[0] < nbytes and time.monotonic() < give_up_s:
            time.sleep(LOOK_S)
        total: int = torch.cuda.get_device_properties(self.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, max(0.0, nbytes / total)), self.device)

    def shareable_zeros(self, nbytes: int) -> tuple[torch.Tensor, Callable[[], Shared]]:
        memory = torch.zeros(nbytes // 8, dtype=torch.int64, device=self.device)

        def share() -> Shared:
            self.finish()
            storage: Any = memory.untyped_storage()
            # Whoever opens it would wait for an event of this process, on a GPU that may be another. There is nothing
            # to wait for: the zeros are there.
            _, *opened_with, _awaited = storage._share_cuda_()
            _, path = memfd.create("kv-owner", 1)
            return Shared(nbytes, msgspec.msgpack.encode((self._uuid(self.device), [*opened_with, False])), path)

        return memory, share

    def open(self, shared: Shared) -> torch.Tensor:
        uuid, opened_with = msgspec.msgpack.decode(shared.handle, type=tuple[str, list[Any]])
        theirs = self._device(uuid)
        # Opened on this GPU, this GPU's kernels write to the other one, and nothing is set up there. A GPU that cannot
        # reach the other one opens the memory there, and the driver copies through the host.
        direct = theirs == self.device or torch.cuda.can_device_access_peer(self.device, theirs)
        device = self.device if direct else theirs
        self._reached = tuple({*self._reached, device})  # another thread may be going through the old one
        storage = torch.UntypedStorage._new_shared_cuda(device.index, *opened_with)
        whole = torch.empty(0, dtype=torch.int64, device=storage.device).set_(storage)
        return whole[: shared.nbytes // 8]

    def staging(self, nbytes: int) -> torch.Tensor:
        return torch.empty(nbytes // 8, dtype=torch.int64, pin_memory=True)

    def record(self, acts: Sequence[Callable[[], torch.Tensor]]) -> list[tuple[Callable[[], None], torch.Tensor]]:
        self._must_be_current()
        # Their common memory. torch has no second use for a handle after its graphs have ended, so each series has one.
        memory, stream = torch.cuda.graph_pool_handle(), torch.cuda.current_stream(self.device)
        recorded: list[tuple[Callable[[], None], torch.Tensor]] = []
        for act in acts:
            act()  # libraries set themselves up at the first use, which can't be recorded
            graph = untyped.CUDAGraph()
            with untyped.graph(graph, memory, stream, "thread_local"):  # other threads go on meanwhile
                made = act()
            recorded.append((graph.replay, made))
        return recorded

    def _device(self, uuid: str) -> torch.device:
        """Indices differ between processes that may see different GPUs; the GPU's own number does not."""
        for index in range(torch.cuda.device_count()):
            if self._uuid(torch.device("cuda", index)) == uuid:
                return torch.device("cuda", index)
        raise RuntimeError(f"GPU {uuid} cannot be seen from here")

    def _uuid(self, device: torch.device) -> str:
        return str(torch.cuda.get_device_properties(device).uuid)

    def _must_be_current(self) -> None:
        """Without `enter`, a thread's work would go to GPU 0, or to a stream that nobody waits for."""
        assert torch.cuda.current_stream(self.device) != torch.cuda.default_stream(self.device), "call enter first"
