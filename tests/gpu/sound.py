"""The checks that pass or fail, and that the stand-in takes too: the same tokens, whatever happens."""

import functools
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec
import torch

from engine.events import Event, HandoffMoved, StepEnded, WorkerDown, WorkerUp
from engine.link import LinkSpec
from engine.live.compute.attention import OnLayer
from engine.live.compute.kv import pool_on, pool_rows
from engine.live.compute.optimizations import ALL
from engine.live.compute.runner import Runner
from engine.live.compute.weights import served
from engine.live.gpus import under_mps
from engine.live.handoff.checksum import checksum, digest
from engine.live.handoff.transport import Segment
from engine.live.handoff.transports import Transports, why_not
from engine.live.model.catalog import prepare
from engine.live.model.shape import KvShape
from engine.live.process.front import Front
from engine.live.process.run import make_requests
from engine.metrics import summarize
from engine.plan import Piece
from engine.request import Request, Sampling
from engine.scenario import Deployment, Scenario, Workload
from tests.disturbed import Fault, answers, is_prefill, recalled, run_on_front
from tests.engine.live.peer import KEY, Peer, tray_rows
from tests.engine.live.test_runner import Model, prompts_of, serve
from tests.engine.live.test_tokens_identical import generated
from tests.gpu.bench import TINY, Bench, LeftOut
from tests.patience import comes

SHAPE = KvShape(layers=4, kv_heads=2, head_dim=32, block_tokens=16, dtype="float32")
LENGTHS = (5, 17, 64, 150)  # tokens of prompts: around the borders of blocks and of chunks
KEPT_BYTES = 64 << 20  # that a GPU's free memory may differ after a worker has been replaced


def memory_between_processes(bench: Bench) -> str:
    """One process opens another's pool and writes into it; versions are said. If that fails, the rest goes over tcp."""
    here, source, target = bench.place, (7, 2, 11, 0), (3, 15, 8, 1)
    pool = bench.filled_pool(SHAPE, 16)
    peer = Peer(["shm"], SHAPE, 16, bench.device)
    try:
        transports, sent = Transports(pool, key=KEY, names=["shm"]), checksum(pool)
        path = transports.connect("shm", peer.endpoints["shm"])
        rows = (tray_rows(SHAPE, 16, blocks) for blocks in (source, target))
        path.write(Segment("r", pool_rows(pool), *rows), sent)
        path.flush()
        assert peer.digest(target) == digest(pool, source) == sent.hexdigest(), "other bytes arrived than were sent"
    finally:
        peer.close()
    about = f"{here.label}, torch {torch.__version__}, driver {driver()}"
    return f"{about}{', under MPS' if under_mps() else ''}"


def driver() -> str:
    """Of the GPUs, as nvidia-smi says it."""
    try:
        ran = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return ran.stdout.decode().split()[0]


def tokens_of_one_process(bench: Bench) -> str:
    """In fp32, tokens are those of transformers on the CPU: whole prompts, chunks, batches, greedy and drawn."""
    for name in TINY:
        model, prepared = Model(name), prepare(bench.tiny(name))
        prompts = prompts_of(LENGTHS)
        requests = [Request(f"r{i}", tuple(prompt), 8) for i, prompt in enumerate(prompts)]
        requests.append(Request("drawn", tuple(prompts[3]), 8, sampling=Sampling(0.8, 0.9, seed=5)))
        expected = {f"r{i}": model.generate(prompt, 8) for i, prompt in enumerate(prompts)}
        expected |= serve(model.runner(), requests[-1:], "chunked", 49)
        runner = Runner(served(prepared, ALL, bench.place), pool_on(bench.place, prepared.kv_shape, 96))
        assert serve(runner, requests, "prefill_first", 256) == expected, f"{name}, launched one by one"
        runner.warm_up()
        assert runner.remarks == ()
        with replayed(runner) as steps:
            for policy, chunk in (("prefill_first", 256), ("chunked", 49)):
                assert serve(runner, requests, policy, chunk) == expected, f"{name}, {policy}"
        assert steps, "no decode step was a recorded one"
    return f"{len(LENGTHS) + 1} requests of {len(TINY)} models, in two policies, decode recorded and not"


@contextmanager
def replayed(runner: Runner) -> Iterator[list[int]]:
    """The sizes of the steps for which there was a recording, as they come."""
    recorded, steps = runner._recorded, list[int]()
    assert recorded is not None
    before = recorded.logits

    def logits(pieces: Sequence[Piece], on_layer: OnLayer | None) -> torch.Tensor | None:
        made = before(pieces, on_layer)
        steps.extend([] if made is None else [len(made)])
        return made

    with patch.object(recorded, "logits", logits):
        yield steps


TOGETHER = [Deployment("colocated", 2), Deployment("chunked", 2, chunk=64)]
SPLIT = [Deployment("disaggregated", ship="layers", first_token="decode"), Deployment("disaggregated", ship="whole")]


def scenario_of(bench: Bench, deployment: Deployment, bytes_per_s: float | None, device: str = "") -> Scenario:
    load = Workload(requests=4, prompt_tokens=300, output_tokens=24, ignore_eos=True)
    return Scenario(deployment, LinkSpec(bytes_per_s, 0.001), load, bench.tiny("tiny-qwen3", device))


@functools.cache
def tokens_of(bench: Bench) -> dict[str, tuple[int, ...]]:
    """Of the scenario's requests, which neither deployment nor link changes, by transformers on the CPU."""
    scenario = scenario_of(bench, Deployment(), None)
    return generated(prepare(scenario.model), make_requests(scenario))


def tokens_of_workers(bench: Bench) -> str:
    """Three deployments, whole and in layers, by worker processes on one GPU; a corrupt tray is caught."""
    return _served(bench, bench.device, [*TOGETHER, *_over(bench.doors)])


def tokens_of_workers_over_nixl(bench: Bench) -> str:
    """By itself: a library that cannot move a GPU's memory may end the process."""
    if why := why_not("nixl"):
        raise LeftOut(why)
    return _served(bench, bench.device, _over(["nixl"]))


def tokens_of_workers_on_two_gpus(bench: Bench) -> str:
    """A worker on each, whether or not one GPU reaches the other's memory."""
    if len(bench.places) < 2:
        raise LeftOut("there is only one here")
    return _served(bench, ",".join(bench.places[:2]), _over(("shm", "tcp")))


def _over(doors: Sequence[str]) -> list[Deployment]:
    return [msgspec.structs.replace(layout, transport=door) for door in doors for layout in SPLIT]


def _served(bench: Bench, device: str, layouts: Sequence[Deployment]) -> str:
    expected, trays = tokens_of(bench), 0
    first = scenario_of(bench, layouts[-1], 200e6, device)
    doors = tuple(dict.fromkeys(layout.transport for layout in layouts if layout.kind == "disaggregated"))
    with bench.front(first, doors) as front:
        assert front.remarks == ()
        for layout in layouts:
            log = run_on_front(front, msgspec.structs.replace(first, deployment=layout))
            handoffs = summarize(log.events).handoffs
            assert answers(log) == expected, layout
            assert len(handoffs) == (len(expected) if layout.kind == "disaggregated" else 0)
            assert all(handoff.verified for handoff in handoffs), layout
            assert {event.cpu_s for event in log.events if isinstance(event, StepEnded)} == {None}
            trays += len(handoffs)

        def flip(front: Front, event: Event) -> bool:
            front.corrupt("worker-1")
            return True

        log = run_on_front(front, first, flip)
        assert [handoff.verified for handoff in summarize(log.events).handoffs].count(False) == 1
        assert answers(log) == expected
    return f"{len(layouts)} layouts over {', '.join(doors)}, {trays} trays verified, a corrupt one caught"


FAULTS: dict[str, tuple[str, Callable[[Event], bool]]] = {
    "prefill worker in mid-prefill": ("worker-0", is_prefill),
    "decode worker in mid-shipment": ("worker-1", lambda event: isinstance(event, HandoffMoved)),
}


def workers_that_die(bench: Bench) -> str:
    """Killed workers are replaced, the tokens stay the same, and no dead worker's memory is kept."""
    if bench.real and under_mps():
        raise LeftOut("under MPS nobody is killed on purpose")
    layout = Deployment("disaggregated", transport=bench.doors[0], ship="layers")  # type: ignore[arg-type]
    scenario = scenario_of(bench, layout, 4e6)
    expected, quick = tokens_of(bench), msgspec.structs.replace(scenario, link=LinkSpec())
    empty = free_bytes(bench)
    with bench.front(scenario) as front:
        run_on_front(front, quick)  # after which they have all the memory that they ever need
        before = kept_bytes(bench, front)
        for worker, moment in FAULTS.values():
            log = run_on_front(front, scenario, kill_when(worker, moment))
            assert any(isinstance(event, WorkerDown) for event in log.events)
            assert recalled(log), "nobody was disturbed"
            assert answers(log) == expected, worker
            assert comes(lambda: abs(kept_bytes(bench, front) - before) < KEPT_BYTES), f"memory of {worker} is kept"
        kill_idle(front, "worker-1")
        run_on_front(front, quick)
        assert comes(lambda: abs(kept_bytes(bench, front) - before) < KEPT_BYTES), "memory of an idle one is kept"
    assert comes(lambda: abs(free_bytes(bench) - empty) < KEPT_BYTES), "memory is kept after the end"
    return f"{len(FAULTS) + 1} workers killed"


def kill_when(worker: str, moment: Callable[[Event], bool]) -> Fault:
    def fault(front: Front, event: Event) -> bool:
        if moment(event):
            front.kill(worker)
        return moment(event)

    return fault


def kill_idle(front: Front, worker: str) -> None:
    """Kill it and wait for the one that takes its place. Nobody writes to it, so only the front can tell the sender."""
    front.kill(worker)
    events: list[Event] = []
    while not any(isinstance(event, WorkerUp) for event in events):
        events += front.poll(1.0)


def kept_bytes(bench: Bench, front: Front) -> int:
    """How much of the GPU is taken, by whomever; on the stand-in, of pools that the prefill worker has mapped."""
    if bench.real:
        return -free_bytes(bench)
    (process,) = [seat.process for seat in front.seats if seat.name == "worker-0"]
    assert process is not None
    return Path(f"/proc/{process.pid}/maps").read_text().count("memfd:kv-pool") * KEPT_BYTES


def free_bytes(bench: Bench) -> int:
    """Of the GPU; the stand-in has no memory of its own."""
    return torch.cuda.mem_get_info(bench.place.device)[0] if bench.real else 0
