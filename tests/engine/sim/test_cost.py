"""Step costs: the line that a decode step is says what the step does, and more work never takes less time."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.step_cost import step_cost
from engine.sim.cost import StepCost
from tests.engine.sim.kitchenette import COST

H200 = gpu("h200-sxm")
DENSE = step_cost(model("llama-3.1-8b"), H200)
COSTS = [COST, DENSE, step_cost(model("gpt-oss-120b"), H200), step_cost(model("deepseek-v3"), H200, tp=8)]


@pytest.mark.parametrize("cost", COSTS)
@given(rows=st.integers(1, 400), more=st.integers(0, 500_000))
def test_a_decode_step_is_a_line_over_its_context(cost: StepCost, rows: int, more: int) -> None:
    line = cost.line(rows)
    assert line is not None
    context = line.since + more
    assert line.fixed_s + context * line.token_s == pytest.approx(cost.step_s((), rows, context), rel=1e-9)


def test_a_step_is_the_sum_of_its_parts() -> None:
    cost = msgspec.structs.replace(DENSE, every_s=0.0, row_s=0.0)
    assert cost.prefill_s > 0
    cost = msgspec.structs.replace(cost, prefill_s=0.0)
    assert cost.step_s((), 1, 0) == DENSE.weights_s  # one row: reading the weights takes longest
    assert cost.step_s((), 1, 1000) == pytest.approx(DENSE.weights_s + 1000 * DENSE.kv_token_s)
    prompt_s = 4096 * DENSE.token_s + DENSE.sampled_s + 4096**2 / 2 * DENSE.pair_s
    assert cost.step_s([(0, 4096)], 0, 0) == pytest.approx(prompt_s)
    beside_s = prompt_s + DENSE.token_s + DENSE.sampled_s + 1000 * DENSE.kv_token_s
    assert cost.step_s([(0, 4096)], 1, 1000) == pytest.approx(beside_s)  # its weights were read already


def test_a_step_reads_only_the_experts_that_its_tokens_choose() -> None:
    cost = step_cost(model("gpt-oss-120b"), H200)
    few, many = cost.step_s((), 1, 0), cost.step_s((), 256, 0)
    read = msgspec.structs.replace(cost, every_s=0.0, row_s=0.0, weights_s=0.0, token_s=0.0, sampled_s=0.0)
    assert read.step_s((), 1, 0) == pytest.approx(4 * cost.expert_s)  # top 4 of 128
    assert read.step_s((), 256, 0) == pytest.approx(128 * cost.expert_s, rel=0.01)
    assert many > few


def test_a_window_bounds_what_a_row_reads_and_a_prompt_computes() -> None:
    cost = msgspec.structs.replace(DENSE, window=100, window_pair_s=1.0, window_token_s=1.0)
    none = msgspec.structs.replace(cost, window=0)
    assert cost.step_s((), 2, 50) - none.step_s((), 2, 50) == pytest.approx(50)
    assert cost.step_s((), 2, 5000) - none.step_s((), 2, 5000) == pytest.approx(200)
    pairs = 100 * 50 + 400 * 100
    assert cost.step_s([(0, 500)], 0, 0) - none.step_s([(0, 500)], 0, 0) == pytest.approx(pairs)
    chunks = sum(cost.step_s([(at, 50)], 0, 0) - none.step_s([(at, 50)], 0, 0) for at in range(0, 500, 50))
    assert chunks == pytest.approx(pairs)


def test_a_chunked_prompt_costs_as_many_pairs_as_a_whole_one() -> None:
    cost = msgspec.structs.replace(DENSE, every_s=0.0, prefill_s=0.0, sampled_s=0.0)
    chunks = [(start, 1024) for start in range(0, 4096, 1024)]
    assert sum(cost.step_s([chunk], 0, 0) for chunk in chunks) == pytest.approx(cost.step_s([(0, 4096)], 0, 0))


@pytest.mark.parametrize("cost", COSTS)
@given(
    rows=st.integers(0, 300), context=st.integers(1, 10**6), tokens=st.integers(1, 8192), start=st.integers(0, 10**5)
)
def test_more_work_never_takes_less_time(cost: StepCost, rows: int, context: int, tokens: int, start: int) -> None:
    piece = [(start, tokens)]
    now = cost.step_s(piece, rows, context)
    assert cost.step_s(piece, rows + 1, context) >= now
    assert cost.step_s(piece, rows, context + 1) >= now
    assert cost.step_s([(start, tokens + 1)], rows, context) >= now
    assert cost.step_s([(start + 1, tokens)], rows, context) >= now
