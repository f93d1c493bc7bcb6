"""The oracle: whatever shares a step, the engine's tokens are those of `model.generate`."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest
import torch

from engine.blocks import BlockPool
from engine.errors import BadInput
from engine.link import LinkSpec
from engine.live.compute import kernels, onednn, runner as runner_module
from engine.live.compute.attention import blockwise, fused
from engine.live.compute.kernels import layer
from engine.live.compute.kv import KvPool
from engine.live.compute.optimizations import ALL, FOR_DEVICES, OPTIMIZATIONS, VARIABLE, Optimizations
from engine.live.compute.runner import Runner
from engine.live.compute.sampling import draw, nucleus, sample
from engine.live.compute.transformers_model import load
from engine.live.compute.weights import served
from engine.live.model.catalog import Prepared, prepare
from engine.live.process.front import Front
from engine.plan import Piece
from engine.request import Request, Sampling
from engine.scenario import Deployment, ModelSpec
from engine.worker import Worker

pytestmark = pytest.mark.usefixtures("one_thread")

BLOCKS = 96
GREEDY = Sampling()
NONE = ALL.without(*OPTIMIZATIONS)
ON_CPUS = tuple(name for name in OPTIMIZATIONS if name not in FOR_DEVICES)
LENGTHS = (1, 5, 16, 17, 33, 64, 150, 300)  # around the borders of blocks and of chunks


class Model:
    """A tiny model, once for the engine and once as the oracle."""

    def __init__(self, path: str) -> None:
        self.prepared: Prepared = prepare(ModelSpec(path, "fp32"))
        self.served: Any = load(self.prepared)
        self.oracle: Any = load(self.prepared, attention="sdpa")

    def runner(self, optimizations: Optimizations = ALL) -> Runner:
        return Runner(self.served, KvPool.create(self.prepared.kv_shape, BLOCKS), optimizations)

    def generate(self, prompt: Sequence[int], tokens: int) -> list[int]:
        ids = torch.tensor([prompt])
        out = self.oracle.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, eos_token_id=None
        )
        made: list[int] = out[0, len(prompt) :].tolist()
        return made


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-qwen3"])
def model(request: pytest.FixtureRequest) -> Model:
    return Model(request.param)


def prompts_of(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(512, (length,), generator=generator).tolist() for length in lengths]


def serve(runner: Runner, requests: Sequence[Request], policy: str, chunk: int) -> dict[str, list[int]]:
    """What a worker process does, without the process."""
    worker = Worker("worker", BlockPool(BLOCKS, 16), policy, chunk)
    tokens: dict[str, list[int]] = {request.id: [] for request in requests}
    for request in requests:
        worker.submit(request)
    while not worker.idle:
        plan, _ = worker.plan(0.0)
        sampled = runner.run(worker.pieces(plan))
        for piece, token in zip(plan, sampled, strict=True):
            if token is not None:
                tokens[piece.request].append(token)
        worker.finish(plan, sampled, 0.0)
    return tokens


@pytest.mark.parametrize(
    ("policy", "chunk"), [("prefill_first", 256), ("chunked", 16), ("chunked", 49), ("chunked", 256)]
)
def test_tokens_are_those_of_generate(model: Model, policy: str, chunk: int) -> None:
    prompts = prompts_of(LENGTHS)
    requests = [Request(f"r{i}", tuple(prompt), 12 + i) for i, prompt in enumerate(prompts)]
    served = serve(model.runner(), requests, policy, chunk)
    assert served == {f"r{i}": model.generate(prompt, 12 + i) for i, prompt in enumerate(prompts)}


@pytest.mark.parametrize("cuts", [(16, 1), (16, 16, 1), (1, 1, 31), (15, 2, 16), (32, 1, 1, 1)])
def test_a_prompt_may_be_cut_anywhere(model: Model, cuts: tuple[int, ...]) -> None:
    runner = model.runner()
    [prompt] = prompts_of([sum(cuts)], seed=1)
    blocks = (5, 2, 9, 0)  # neither sorted nor side by side
    start = 0
    tokens: list[int | None] = []
    for cut in cuts:
        asks = GREEDY if start + cut == len(prompt) else None
        tokens = runner.run([Piece("r", start, tuple(prompt[start : start + cut]), blocks, asks, 0)])
        start += cut
    assert tokens == model.generate(prompt, 1)


@pytest.mark.parametrize("without", ON_CPUS)
def test_tokens_stay_the_same_without_any_trick(model: Model, without: str) -> None:
    prompts = prompts_of((1, 17, 90), seed=6)
    requests = [Request(f"r{i}", tuple(prompt), 6) for i, prompt in enumerate(prompts)]
    served = serve(model.runner(ALL.without(without)), requests, "chunked", 49)
    assert served == {f"r{i}": model.generate(prompt, 6) for i, prompt in enumerate(prompts)}


@pytest.mark.parametrize("trouble", ["missing", "changed"])
def test_tokens_stay_the_same_without_kernels(
    model: Model, trouble: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(*_: object) -> None:
        raise AttributeError("module 'numba.core.cgutils' has no attribute 'get_or_insert_function'")

    if trouble == "missing":
        monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(layer, "layer", changed)
    [prompt] = prompts_of([40], seed=8)
    runner = model.runner()
    assert runner._small_batch is None
    assert ("could not compile" in capsys.readouterr().err) == (trouble == "changed")
    served = serve(runner, [Request("r", tuple(prompt), 6)], "chunked", 16)
    assert served == {"r": model.generate(prompt, 6)}


@pytest.mark.parametrize("trouble", [AttributeError("no such operator"), RuntimeError("not built with MKLDNN")])
def test_bf16_does_without_onednn_s_private_product(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up() -> onednn.Operators:
        raise trouble

    monkeypatch.setattr(runner_module, "fast_at_bf16", lambda: True)
    assert onednn.available(), "this machine's torch has it"
    packed = logits_of("tiny-llama", "bf16", ALL)
    monkeypatch.setattr(onednn, "look_up", look_up)
    onednn.available.cache_clear()
    try:
        assert onednn.packed_linear(torch.ones(16, 16), None) is None
        assert apart(logits_of("tiny-llama", "bf16", ALL), packed) < 0.05
    finally:
        onednn.available.cache_clear()


def test_a_trick_that_nobody_knows_is_refused_before_workers_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "packed_weights,magic")
    with pytest.raises(BadInput, match="SPLIT_KITCHEN_WITHOUT is 'magic', but must be one of compiled_rows, "):
        Front(Deployment(), LinkSpec(), ModelSpec("tiny-llama"))
    monkeypatch.setenv(VARIABLE, "packed_weights")
    assert Optimizations.of_environment() == ALL.without("packed_weights")


@pytest.mark.parametrize("path", ["tiny-llama", "tiny-qwen3", "smollm2-135m"])
def test_bf16_logits_are_as_near_to_exact_ones_as_without_tricks(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 has three digits: plain bf16 and exact logits are some hundredths apart. Optimizations may not add to that.

    Neither those for a CPU that is quick at bf16, nor those for any other.
    """
    exact, plain = logits_of(path, "fp32", NONE), logits_of(path, "bf16", NONE)
    one_off = [*map(ALL.without, ON_CPUS)] if path.startswith("tiny") else []
    for quick in (False, True):
        monkeypatch.setattr(runner_module, "fast_at_bf16", lambda quick=quick: quick)
        assert apart(logits_of(path, "fp32", ALL), exact) < 1e-5
        off = [apart(logits_of(path, "bf16", optimizations), exact) for optimizations in (ALL, *one_off)]
        assert max(off) < 1.25 * apart(plain, exact) < 0.05


def apart(logits: torch.Tensor, others: torch.Tensor) -> float:
    """The difference, as a share of what is there."""
    return float((logits.float() - others).norm() / others.norm())


@torch.inference_mode()
def logits_of(path: str, dtype: Literal["bf16", "fp32"], optimizations: Optimizations) -> torch.Tensor:
    """Of a prompt, of a chunk beside a single token, and of steps with one row and with two."""
    prepared = prepare(ModelSpec(path, dtype))
    runner = Runner(served(prepared, optimizations), KvPool.create(prepared.kv_shape, BLOCKS), optimizations)
    [ids] = prompts_of([170], seed=7)
    one, two = tuple(range(12)), tuple(range(20, 32))

    def piece(name: str, first: int, last: int) -> Piece:
        return Piece(name, first, tuple(ids[first:last]), one if name == "one" else two, GREEDY, 0)

    third = Piece("three", 0, (5,), (40,), GREEDY, 0)
    steps = [
        [piece("one", 0, 160)],
        [piece("one", 160, 161), piece("two", 0, 70)],
        [piece("one", 161, 162), piece("two", 70, 150)],
        [piece("one", 162, 163), piece("two", 150, 151)],
        [piece("one", 163, 164)],
        [piece("one", 164, 165), piece("two", 151, 152), third],
    ]
    return torch.cat([runner.logits(pieces) for pieces in steps])


@pytest.mark.parametrize(("rows", "past"), [(1, 0), (64, 0), (65, 0), (200, 0), (1, 70), (130, 33)])
def test_blockwise_attention_is_attention(rows: int, past: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    query = torch.randn(6, rows, 16, generator=generator)
    key, value = torch.randn(2, 2, past + rows, 16, generator=generator)
    mask = torch.ones(rows, past + rows, dtype=torch.bool).tril(past)
    whole = torch.nn.functional.scaled_dot_product_attention(
        query[None], key[None], value[None], attn_mask=mask, scale=0.3, enable_gqa=True
    )[0]
    assert torch.allclose(blockwise(query, key, value, 0.3), whole, atol=1e-5)
    assert torch.allclose(fused(query, key, value, 0.3), whole, atol=1e-5)


def test_pieces_come_back_in_the_order_they_were_given(model: Model) -> None:
    one, two, three = prompts_of([20, 1, 30], seed=2)
    pieces = [
        Piece("one", 0, tuple(one), (0, 1), GREEDY, 0),
        Piece("two", 0, tuple(two), (2,), GREEDY, 0),
        Piece("three", 0, tuple(three), (3, 4), None, 0),
    ]
    assert model.runner().run(pieces) == [*model.generate(one, 1), *model.generate(two, 1), None]


def test_each_layer_is_announced_once_its_kv_lies_in_the_pool(model: Model) -> None:
    runner = model.runner()
    seen: list[tuple[int, bool, bool]] = []

    def on_layer(layer: int) -> None:
        kv = runner.pool.tensor[:, :, 3 * 16 : 3 * 16 + 10]
        seen.append((layer, bool(kv[layer].any(-1).all()), bool(kv[layer + 1 :].any())))

    assert runner.run([Piece("r", 0, (7,) * 10, (3,), None, 0)], on_layer) == [None]
    assert seen == [(layer, True, False) for layer in range(4)]


def test_only_the_request_s_own_slots_are_written(model: Model) -> None:
    runner = model.runner()
    runner.run([Piece("r", 0, (7,) * 17, (3, 8), GREEDY, 0), Piece("s", 0, (9,), (5,), GREEDY, 0)])
    written = runner.pool.tensor.flatten(3).any(-1).all(0).all(0).nonzero().flatten().tolist()
    assert written == [*range(48, 64), 80, 128]


def test_a_redo_draws_the_same_tokens(model: Model) -> None:
    [prompt] = prompts_of([40], seed=3)
    sampling = Sampling(temperature=1.0, top_p=0.9, seed=5)
    request = Request("r", tuple(prompt), 20, sampling=sampling)
    first = serve(model.runner(), [request], "prefill_first", 256)["r"]
    beside = Request("s", tuple(prompts_of([100], seed=4)[0]), 20)
    assert serve(model.runner(), [beside, request], "chunked", 16)["r"] == first
    other = Request("r", tuple(prompt), 20, sampling=Sampling(temperature=1.0, top_p=0.9, seed=6))
    assert serve(model.runner(), [other], "prefill_first", 256)["r"] != first


def test_greedy_and_drawn_rows_share_a_call() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    warm = Sampling(temperature=1.5, seed=1)
    mixed = sample(logits, [(GREEDY, 0), (warm, 3), (GREEDY, 0)])
    assert mixed[0] == int(logits[0].argmax())
    assert mixed[1:2] == sample(logits[1:2], [(warm, 3)])
    assert mixed[2] == int(logits[2].argmax())


@pytest.mark.parametrize("top_p", [0.001, 0.3, 0.5, 0.9, 0.999, 1.0])
def test_the_nucleus_is_the_smallest_set_with_that_mass(top_p: float) -> None:
    chances = torch.softmax(torch.randn(2000, generator=torch.Generator().manual_seed(1)).double(), -1)
    kept: set[int] = set()
    mass = 0.0
    for token in sorted(range(2000), key=lambda token: -chances[token]):
        if mass < top_p:
            kept.add(token)
            mass += float(chances[token])
    struck = nucleus(chances, top_p)
    assert set(struck.nonzero().flatten().tolist()) == kept
    assert all(struck[token] == chances[token] for token in kept)


def test_draws_follow_the_chances_and_never_hit_a_token_without_any() -> None:
    chances = torch.tensor([0.0, 0.5, 0.0, 0.25, 0.25, 0.0]).double()
    drawn = [draw(chances, seed=0, index=index) for index in range(4000)]
    share = [drawn.count(token) / len(drawn) for token in range(6)]
    assert share == pytest.approx(chances.tolist(), abs=0.03)
    assert share[0] == share[2] == share[5] == 0
    assert len({draw(chances, seed=seed, index=0) for seed in range(50)}) == 3
