"""Step costs: what steps in a row take is what each takes by itself, and no cost beats the physics it states."""

import pytest
from hypothesis import given, strategies as st

from engine.sim.cost import Hardware, ModelSize, RooflineCost, roofline
from tests.engine.sim.kitchenette import COST

H100 = Hardware(flops_per_s=989e12, memory_bytes_per_s=3.35e12)
LLAMA_8B = ModelSize(8.03e9, 16.06e9, kv_bytes_per_token=131_072, layers=32, attention_width=4096)
COSTS = [COST, roofline(H100, LLAMA_8B), RooflineCost(H100, LLAMA_8B, overlap=0.3)]


@pytest.mark.parametrize("cost", COSTS)
@given(rows=st.integers(1, 400), context=st.integers(0, 500_000), steps=st.integers(1, 300))
def test_steps_in_a_row_are_the_steps_one_by_one(cost, rows: int, context: int, steps: int) -> None:
    assert cost.decode_s(rows, context, steps) == pytest.approx(
        [cost.step_s((), rows, context + step * rows) for step in range(steps)], rel=1e-9
    )


def test_only_a_mixed_step_hangs_on_the_overlap() -> None:
    full, none = RooflineCost(H100, LLAMA_8B, overlap=1.0), RooflineCost(H100, LLAMA_8B, overlap=0.0)
    pure = [([], 16, 32_000), ([(0, 4096)], 0, 0)]
    assert all(none.step_s(*step) < 1.15 * full.step_s(*step) for step in pure)
    mixed = ([(0, 256)], 16, 32_000)
    assert none.step_s(*mixed) > 1.4 * full.step_s(*mixed)


def test_the_roofline_is_the_slower_of_compute_and_memory() -> None:
    cost = roofline(H100, LLAMA_8B)
    decode_s, prefill_s = cost.step_s((), 1, 1000), cost.step_s([(0, 4096)], 0, 0)
    assert decode_s == pytest.approx(0.002 + (16.06e9 + 1000 * 131_072) / (3.35e12 * 0.6))
    assert prefill_s == pytest.approx(0.002 + (2 * 8.03e9 * 4096 + 2 * 32 * 4096 * 4096**2) / (989e12 * 0.5))


def test_a_chunked_prompt_costs_as_many_pairs_as_a_whole_one() -> None:
    cost = roofline(H100, LLAMA_8B)
    chunks = [(start, 1024) for start in range(0, 4096, 1024)]
    whole_s, chunks_s = cost.step_s([(0, 4096)], 0, 0), sum(cost.step_s([chunk], 0, 0) for chunk in chunks)
    assert chunks_s - 3 * 0.002 == pytest.approx(whole_s)
