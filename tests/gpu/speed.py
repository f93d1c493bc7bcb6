"""What a GPU takes, beside what it could: said, and held to little. The large model's weights are random."""

import itertools
import json
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from statistics import median

import msgspec
import torch

from engine.events import StepEnded, StepStarted, TokenMade
from engine.link import LinkSpec
from engine.live.compute.kv import pool_on
from engine.live.compute.optimizations import ALL
from engine.live.compute.runner import Runner
from engine.live.compute.transformers_model import load
from engine.live.compute.weights import served
from engine.live.handoff.courier import Courier
from engine.live.handoff.transports import Transports
from engine.live.machine import gpu_pairs
from engine.live.machine.doctor import parameters
from engine.live.model.catalog import prepare
from engine.live.model.shape import BYTES_PER_ELEMENT
from engine.live.process.run import make_requests, run_on
from engine.messages import Report, Ship, Shipped
from engine.plan import Piece
from engine.request import Sampling
from engine.scenario import Deployment, Scenario, Workload
from tests.engine.live.peer import KEY, Peer
from tests.gpu.bench import Bench

BLOCK = 16
REPEATS = 3
APART = 0.02  # of the logits' spread: how far a recorded step may be from one that is launched
ROUNDED = 1.25  # times transformers' own distance from fp32: how far our logits may be from it
IN_FP32 = 1e-4  # of the logits' norm: how far two ways may be apart in fp32
LATER_S = 0.05  # after the short prompt, so that the long one's prefill falls into its answer
PACED_APART = 0.05  # of the time that the link allows
LEAST_OF_COPY = 0.05  # of the GPU's own copy of as many bytes: less were a way through the host


def logits_beside_transformers(bench: Bench) -> str:
    """The large model in its dtype: logits of a prompt, in two chunks, and of each token of its answer, are as near to
    what fp32 gives as transformers' are."""
    prepared, tokens = prepare(bench.large), bench.lengths[0] // 2
    ids = torch.randint(256, (tokens + 16,), generator=torch.Generator().manual_seed(0)).tolist()
    runner = Runner(served(prepared, ALL, bench.place), pool_on(bench.place, prepared.kv_shape, tokens // BLOCK + 2))
    blocks = tuple(range(tokens // BLOCK + 2))
    with torch.inference_mode():
        half = tokens // 2
        runner.logits([Piece("r", 0, tuple(ids[:half]), blocks, None, 0)])
        made = [runner.logits([Piece("r", half, tuple(ids[half:tokens]), blocks, Sampling(), 0)])]
        for at in range(tokens, len(ids)):
            made.append(runner.logits([Piece("r", at, (ids[at],), blocks, Sampling(), 0)]))
        oracle, asked = load(prepared, bench.place.device, attention="sdpa"), torch.tensor([ids]).to(bench.place.device)
        theirs = oracle(asked).logits[0, tokens - 1 :].float()
        exact = oracle.float()(asked).logits[0, tokens - 1 :]
        apart, usual = (float((some - exact).norm() / exact.norm()) for some in (torch.cat(made).float(), theirs))
    says = f"{apart:.2%} from fp32, transformers {usual:.2%}"
    assert apart < ROUNDED * usual + IN_FP32, says
    return f"{len(made)} rows of {prepared.name.rsplit('/', 1)[-1]}: {says}"


def times_of_steps(bench: Bench) -> str:
    """Prefill of two lengths; decode of three batch sizes, recorded and launched one by one, to the same logits, and of
    one that is too large to be recorded. Beside them, the FLOP/s and the bytes/s of weights that they come to, and what
    a step took by each attention."""
    prepared = prepare(bench.large)
    usual, long = bench.lengths
    each = usual // BLOCK + 1
    runner = Runner(served(prepared, ALL, bench.place), pool_on(bench.place, prepared.kv_shape, prepared.kv_blocks))

    def prompt(tokens: int) -> list[Piece]:
        return [Piece("r", 0, (7,) * tokens, tuple(range(tokens // BLOCK + 1)), Sampling(), 0)]

    def batch(count: int) -> list[Piece]:
        return [
            Piece(f"r{n}", usual, (7,), tuple(range(n * each, (n + 1) * each)), Sampling(), 0) for n in range(count)
        ]

    def ms(pieces: list[Piece]) -> float:
        return 1e3 * fastest_s(bench, lambda: runner.run(pieces))

    taken, said = held_bytes(bench), list[str]()
    sizes, each_bytes = parameters(Path(prepared.folder)), BYTES_PER_ELEMENT[prepared.kv_shape.dtype]
    read = sum(sizes.values()) * each_bytes
    multiplied = sum(size for name, size in sizes.items() if "embed_tokens" not in name)
    for tokens in (usual, long):
        took = ms(prompt(tokens))
        flops_per_s = 2 * multiplied * tokens / took * 1e3
        said.append(f"prefill {tokens} {took:.3g} ms ({flops_per_s / 1e12:.3g} TFLOP/s)")
    scores = heads(prepared.folder) * long**2 * each_bytes
    assert peak_bytes(bench) - taken < scores, "attention keeps all scores of a prompt at once"
    runner.warm_up()
    assert runner.remarks == ()
    recorded = runner._recorded
    for count in (1, 8, 16):
        with torch.inference_mode():
            replayed = runner.logits(batch(count)).float()
            quick, runner._recorded = ms(batch(count)), None
            launched, slow = runner.logits(batch(count)).float(), ms(batch(count))
            runner._recorded = recorded
        apart = float((replayed - launched).abs().max() / (launched.max() - launched.min()))
        assert apart < APART, f"recorded, logits of {count} are {apart:.1%} of their spread apart"
        assert not bench.real or count > 1 or quick < slow, f"recorded {quick} ms, launched one by one {slow} ms"
        reads = f"{read / quick / 1e9:.3g} TB/s of weights"
        said.append(f"decode {count} x {usual} {quick:.3g} ms ({reads}), {slow:.3g} ms launched one by one")
    said.append(f"decode 32 x {usual} {ms(batch(32)):.3g} ms launched one by one")
    assert recorded is not None
    said.append("attention by " + ", ".join(f"{name} {1e3 * s:.3g} ms a step" for name, s in recorded.step_s.items()))
    return ", ".join(said)


def held_bytes(bench: Bench) -> int:
    """What this process has of the GPU now; `peak_bytes` says what it had at most since. The stand-in has no memory."""
    if not bench.real:
        return 0
    torch.cuda.reset_peak_memory_stats(bench.place.device)
    return torch.cuda.memory_allocated(bench.place.device)


def peak_bytes(bench: Bench) -> int:
    return torch.cuda.max_memory_allocated(bench.place.device) if bench.real else 0


def heads(folder: str) -> int:
    """Query heads of the model in this folder."""
    return int(json.loads(Path(folder, "config.json").read_text())["num_attention_heads"])


def ways_between_gpus(bench: Bench) -> str:
    """What `doctor` measures of each two GPUs, and of two workers on one."""
    pairs = gpu_pairs.measure(bench.places)
    assert not any(pair.why for pair in pairs), pairs
    speeds = [f"{pair.handed_bytes_per_s / 1e9:.3g} of {pair.copied_bytes_per_s / 1e9:.3g}" for pair in pairs]
    return ", ".join(f"{pair.source} to {pair.target} {said} GB/s" for pair, said in zip(pairs, speeds, strict=True))


def fastest_s(bench: Bench, act: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS + 1):
        bench.place.finish()
        begun_s = time.perf_counter()
        act()
        bench.place.finish()
        taken.append(time.perf_counter() - begun_s)
    return min(taken[1:])


def paces_of_trays(bench: Bench) -> str:
    """Trays of two lengths to a process on the same GPU: unpaced beside a plain copy; the long one at three paces."""
    door = bench.doors[0]
    prepared = prepare(bench.large)
    count = bench.lengths[1] // BLOCK
    pool = bench.filled_pool(prepared.kv_shape, count)
    reports, said = SimpleQueue[Report](), list[str]()
    peer = Peer([door], prepared.kv_shape, count, bench.device)
    transports = Transports(pool, key=KEY, names=[door])
    courier = Courier(
        transports, LinkSpec(), say=lambda event: None, report=reports.put, clock=time.monotonic, name="sender"
    )
    numbers = itertools.count()
    try:

        def shipped_s(pace: float | None, blocks: tuple[int, ...]) -> float:
            request = f"r{next(numbers)}"
            courier.set_link(LinkSpec(pace))
            peer.grant(request, blocks)
            courier.ship(Ship(request, "receiver", peer.endpoints[door], blocks), door, blocks)
            report = reports.get(timeout=60.0)
            assert isinstance(report, Shipped), report
            assert report.digest == peer.digest(blocks)
            return report.seconds

        for tokens in bench.lengths:
            blocks = tuple(range(tokens // BLOCK))
            nbytes = prepared.kv_shape.tray_bytes(len(blocks))
            unpaced_s = min(shipped_s(None, blocks) for _ in range(REPEATS + 1))
            other = torch.empty(nbytes // 8, dtype=torch.int64, device=bench.place.device)
            whole = torch.empty_like(other)
            copied_s = fastest_s(bench, partial(other.copy_, whole))
            share = copied_s / unpaced_s
            said.append(f"{nbytes / 1e9:.3g} GB unpaced {nbytes / unpaced_s / 1e9:.3g} GB/s, {share:.2f} of copy_")
        assert not bench.real or door == "tcp" or share > LEAST_OF_COPY, said  # of the long one
        for pace in (1e9, 5e9, 20e9) if bench.real else (nbytes / 0.5,):
            taken_s = shipped_s(pace, blocks)
            said.append(f"{nbytes / taken_s / 1e9:.3g} of {pace / 1e9:.3g} GB/s")
            slower = taken_s * pace / nbytes - 1
            assert slower >= 0, "faster than the link"
            assert not bench.real or pace > 0.8 * nbytes / unpaced_s or slower < PACED_APART, said
    finally:
        courier.close()
        peer.close()
    return "; ".join(said)


def gaps_beside_a_prefill(bench: Bench) -> str:
    """Both workers share the GPU: how long the tokens of an answer are apart, with and without a long prefill there."""
    load = Workload(
        requests=1, prompt_tokens=bench.lengths[0], output_tokens=200 if bench.real else 40, ignore_eos=True
    )
    room = msgspec.structs.replace(bench.large, kv_blocks=0) if bench.real else bench.large  # all there is for both
    layout = Deployment("disaggregated", transport=bench.doors[0])  # type: ignore[arg-type]
    scenario = Scenario(layout, LinkSpec(), load, room)
    (answer,) = make_requests(scenario)
    long = msgspec.structs.replace(load, prompt_tokens=bench.lengths[1], output_tokens=2)
    (prompt,) = make_requests(msgspec.structs.replace(scenario, workload=long))
    prompt = msgspec.structs.replace(prompt, id="long", arrival_s=answer.arrival_s + LATER_S)
    with bench.front(scenario) as front:
        run_on(front, scenario, [answer])  # warm
        log = run_on(front, scenario, [answer, prompt])
    made = [event.t for event in log.events if isinstance(event, TokenMade) and event.request == answer.id]
    steps = [event for event in log.events if isinstance(event, StepStarted | StepEnded) and event.worker == "worker-0"]
    began, until = next(
        (start.t, end.t) for start, end in pairwise(steps) if isinstance(start, StepStarted) and is_of(start, "long")
    )
    beside = [b - a for a, b in pairwise(made[1:]) if b > began and a < until]
    alone = [b - a for a, b in pairwise(made[1:]) if a >= until]
    took = f"the prefill took {1e3 * (until - began):.3g} ms"
    assert beside, f"no token was made beside the prefill; {took}"
    said = [f"{name} {1e3 * median(gaps):.3g} ms" for name, gaps in (("alone", alone), ("beside", beside)) if gaps]
    return f"gaps {', '.join(said)}; {took}"


def is_of(step: StepStarted, request: str) -> bool:
    return any(piece.request == request for piece in step.plan)
