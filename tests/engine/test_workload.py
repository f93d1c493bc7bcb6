"""Arrivals and lengths: the same from the same seed, and as random as they should be."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from engine.scenario import Workload
from engine.workload import Draft, drafts, varied

MANY = 20_000


def gaps(workload: Workload) -> list[float]:
    return [later.arrival_s - earlier.arrival_s for earlier, later in pairwise(drafts(workload))]


@given(
    requests=st.integers(1, 50),
    rate=st.one_of(st.none(), st.floats(0.01, 1000)),
    every=st.integers(0, 6),
    seed=st.integers(0, 2**63 - 1),
)
def test_what_every_workload_keeps(requests: int, rate: float | None, every: int, seed: int) -> None:
    load = Workload(requests, rate, 100, 20, long_prompt_tokens=900, long_every=every, seed=seed)
    made = drafts(load)
    assert made == drafts(load)
    assert [draft.number for draft in made] == list(range(requests))
    assert made[0].arrival_s == 0.0
    assert all(gap >= 0 for gap in gaps(load))
    assert all(draft.output_tokens == 20 for draft in made)
    for draft in made:
        long = every > 0 and (draft.number + 1) % every == 0
        assert draft.prompt_tokens == (900 if long else 100)


def test_all_at_once() -> None:
    assert {draft.arrival_s for draft in drafts(Workload(requests=50, rate_per_s=None))} == {0.0}


@pytest.mark.parametrize("rate", [0.5, 20.0])
def test_arrivals_are_poisson(rate: float) -> None:
    """Gaps are exponential: mean and standard deviation 1/rate, and 1/e of them are longer than that."""
    drawn = gaps(Workload(requests=MANY, rate_per_s=rate, seed=1))
    mean = sum(drawn) / len(drawn)
    deviation = (sum((gap - mean) ** 2 for gap in drawn) / len(drawn)) ** 0.5
    assert mean == pytest.approx(1 / rate, rel=0.03)
    assert deviation == pytest.approx(1 / rate, rel=0.04)
    assert sum(gap > 1 / rate for gap in drawn) / len(drawn) == pytest.approx(0.368, abs=0.015)
    follow = sum(a > mean and b > mean for a, b in pairwise(drawn)) / len(drawn)
    assert follow == pytest.approx(0.368**2, abs=0.015)  # and a gap says nothing about the next one


def test_another_seed_is_another_evening() -> None:
    evenings = {tuple(gaps(Workload(requests=5, rate_per_s=1.0, seed=seed))) for seed in range(20)}
    assert len(evenings) == 20


def test_a_rate_stretches_the_same_evening() -> None:
    slow, quick = (gaps(Workload(requests=50, rate_per_s=rate, seed=3)) for rate in (1.0, 4.0))
    assert slow == pytest.approx([4 * gap for gap in quick])


def test_long_prompts_change_no_arrival() -> None:
    plain = Workload(requests=50, rate_per_s=2.0)
    mixed = Workload(requests=50, rate_per_s=2.0, long_every=3, long_prompt_tokens=900)
    assert gaps(plain) == gaps(mixed)


def test_varied_lengths_stay_within_their_share() -> None:
    wanted = [Draft(n, float(n), 1000, 1) for n in range(200)]
    found = varied(wanted, 0.1, seed=3)
    assert found == varied(wanted, 0.1, seed=3)
    assert [draft.arrival_s for draft in found] == [draft.arrival_s for draft in wanted]
    assert all(900 <= draft.prompt_tokens <= 1100 and draft.output_tokens == 1 for draft in found)
    assert 980 < sum(draft.prompt_tokens for draft in found) / 200 < 1020
