"""Recorded decode steps, on the stand-in: the same logits and the same KV as launched one operation after the other."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import pytest
import torch

from engine.live.compute.attention import Attends
from engine.live.compute.kv import DevicePool
from engine.live.compute.optimizations import ALL, FOR_DEVICES, Optimizations
from engine.live.compute.recorded import ATTENTIONS, RecordedDecode
from engine.live.compute.runner import Runner
from engine.live.compute.stand_in import StandIn
from engine.live.compute.weights import served
from engine.live.model.catalog import prepare
from engine.plan import Piece
from engine.request import Sampling
from engine.scenario import ModelSpec

BLOCKS = 80
pytestmark = pytest.mark.usefixtures("one_thread")
GREEDY = Sampling()
TINY = ("tiny-llama", "tiny-qwen3")


def runner_of(
    path: str, dtype: Literal["bf16", "fp32"] = "fp32", without: Sequence[str] = (), here: StandIn | None = None
) -> Runner:
    """Its pool has noise in it, as one that was used before."""
    here = here or StandIn()
    here.enter()
    prepared, optimizations = prepare(ModelSpec(path, dtype)), ALL.without(*without)
    pool = DevicePool(prepared.kv_shape, BLOCKS, here)
    with torch.inference_mode():
        pool.tensor.copy_(torch.randn(pool.tensor.shape, generator=torch.Generator().manual_seed(0)))
        made = Runner(served(prepared, optimizations, here), pool, optimizations)
    return made


def measured(monkeypatch: pytest.MonkeyPatch, quicker: str) -> None:
    """As if this attention were the quicker one here."""
    step_s = {attends: 0.001 if name == quicker else 0.002 for name, attends in ATTENTIONS.items()}
    monkeypatch.setattr(RecordedDecode, "_step_s", lambda _, attends, width: step_s[attends])


@pytest.fixture(scope="module", params=itertools.product(TINY, ATTENTIONS), ids=" ".join)
def runner(request: pytest.FixtureRequest) -> Runner:
    path, attention = request.param
    made = runner_of(path)
    with pytest.MonkeyPatch.context() as monkeypatch:
        measured(monkeypatch, quicker=attention)
        made.warm_up()
    assert made.remarks == ()
    return made


def test_each_attention_is_tried_and_the_steps_are_recorded_with_the_quicker_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = runner_of("tiny-llama")
    made.warm_up()
    assert made._recorded is not None
    assert list(made._recorded.step_s) == list(ATTENTIONS)
    assert all(step_s > 0 for step_s in made._recorded.step_s.values())

    taken: list[str] = []
    for name, attends in ATTENTIONS.items():

        def counted(*asked: Any, name: str = name, attends: Attends = attends) -> torch.Tensor:
            taken.append(name)
            return attends(*asked)

        monkeypatch.setitem(ATTENTIONS, name, counted)
    for name in ATTENTIONS:
        measured(monkeypatch, quicker=name)
        made = runner_of("tiny-llama")
        made.warm_up()
        taken.clear()
        assert made._recorded is not None
        with torch.inference_mode():
            made._recorded.logits(decode(3, 20), None)
        assert set(taken) == {name}


def decode(*pasts: int) -> list[Piece]:
    """A step of requests with so many tokens, whose blocks are scattered over the pool."""
    pieces, free = [], iter(torch.randperm(BLOCKS, generator=torch.Generator().manual_seed(1)).tolist())
    for n, past in enumerate(pasts):
        blocks = tuple(next(free) for _ in range(past // 16 + 2))  # one more than there are tokens for
        pieces.append(Piece(f"r{n}", past, (n + 1,), blocks, GREEDY, 0))
    return pieces


@torch.inference_mode()
def both(runner: Runner, pieces: list[Piece]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Logits, and the pool after the step: recorded, then launched one by one."""
    before, recorded = runner.pool.tensor.clone(), runner._recorded
    assert recorded is not None
    for chosen in (recorded, None):
        runner.pool.tensor.copy_(before)
        runner._recorded = chosen
        yield runner.logits(pieces).clone(), runner.pool.tensor.clone()
    runner._recorded = recorded


@pytest.mark.parametrize(
    "pasts", [(0,), (15,), (16,), (127,), (128,), (300,), (5, 200), (1, 2, 3), (40, 0, 17, 90, 5), (9,) * 16]
)
def test_a_recorded_step_is_the_step(runner: Runner, pasts: tuple[int, ...]) -> None:
    pieces = decode(*pasts)
    assert runner._recorded is not None
    with torch.inference_mode():
        assert runner._recorded.logits(pieces, None) is not None, "it was not recorded"
    (logits, pool), (expected, launched) = both(runner, pieces)
    assert logits.shape == expected.shape
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pool, launched, atol=1e-5, rtol=1e-5)  # also where nobody was to write


def test_what_fits_into_no_recording_is_launched(runner: Runner) -> None:
    recorded = runner._recorded
    assert recorded is not None
    fits, (one, two) = decode(3), decode(3, 4)
    assert recorded.logits(decode(*[0] * 17), None) is None, "more rows than were recorded"
    assert recorded.logits([Piece("r", 5000, (1,), tuple(range(320)), GREEDY, 0)], None) is None, "a longer past"
    assert recorded.logits([one, Piece("s", 0, (1, 2), two.blocks, GREEDY, 0)], None) is None, "a prompt"
    assert recorded.logits([Piece("r", 3, (1,), one.blocks, None, 0)], None) is None, "nobody asks for its token"
    assert recorded.logits(fits, lambda layer: None) is None, "its layers are to leave one by one"


def test_where_nothing_can_be_recorded_it_is_said_and_the_tokens_are_the_same(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: StandIn, act: Callable[[], Any]) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nand much more")

    monkeypatch.setattr(StandIn, "record", fails)
    slow = runner_of("tiny-llama")
    slow.warm_up()
    assert slow._recorded is None
    (remark,) = slow.remarks
    assert remark.endswith("as none could be recorded: operation not permitted when stream is capturing")
    quick = runner_of("tiny-llama", without=["recorded_decode"])
    quick.warm_up()
    assert quick.remarks == (), "it was not asked to"
    assert slow.run(decode(5, 20)) == quick.run(decode(5, 20))


def test_joined_products_keep_no_weight_twice() -> None:
    here, prepared = StandIn(), prepare(ModelSpec("tiny-qwen3", "fp32"))
    here.enter()
    model = served(prepared, ALL, here)
    Runner(model, DevicePool(prepared.kv_shape, BLOCKS, here))
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for parts in ((attention.q_proj, attention.k_proj, attention.v_proj), (mlp.gate_proj, mlp.up_proj)):
            assert len({part.weight.untyped_storage().data_ptr() for part in parts}) == 1


@torch.inference_mode()
def logits_of(runner: Runner) -> torch.Tensor:
    """Of a prompt, of a chunk with a past beside a single token, and of a step of decode."""
    ids = torch.randint(512, (700,), generator=torch.Generator().manual_seed(3)).tolist()
    one, two = tuple(range(40)), tuple(range(40, 60))

    def piece(name: str, first: int, last: int, blocks: tuple[int, ...]) -> Piece:
        return Piece(name, first, tuple(ids[first:last]), blocks, GREEDY, 0)

    steps = [
        [piece("one", 0, 600, one)],
        [piece("one", 600, 601, one), piece("two", 0, 70, two)],
        [piece("one", 601, 602, one), piece("two", 70, 150, two)],
        [piece("one", 602, 603, one), piece("two", 150, 151, two)],
    ]
    return torch.cat([runner.logits(pieces) for pieces in steps]).float()


@pytest.mark.parametrize("path", TINY)
def test_what_a_device_does_otherwise_rounds_no_worse(path: str) -> None:
    def apart(optimizations: Optimizations) -> float:
        without = [name for name in FOR_DEVICES if not getattr(optimizations, name)]
        return float((logits_of(runner_of(path, "bf16", without)) - exact).norm() / exact.norm())

    exact = logits_of(runner_of(path, "fp32", FOR_DEVICES))
    torch.testing.assert_close(logits_of(runner_of(path, "fp32")), exact, atol=1e-3, rtol=1e-3)
    assert apart(ALL) < 1.25 * apart(ALL.without(*FOR_DEVICES)) < 0.05
