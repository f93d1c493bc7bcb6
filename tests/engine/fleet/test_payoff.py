"""Where splitting begins to pay: the flip is bracketed, and plans sustain the same there; or there is none."""

from itertools import pairwise
from typing import Any

import pytest

from engine.errors import BadInput
from engine.fleet.sweep.payoff import _band, _nearest_crossing, best, question_of, roads
from engine.fleet.sweep.said import Begun, Boundary, Compared, Curve, Said, Sweep
from engine.fleet.sweep.sweep import sweep

LAB: dict[str, Any] = {
    "site": "lab",
    "gpu": "h100-sxm",
    "prompt_tokens": 8192,
    "output_tokens": 64,
    "tpot_slo_s": 0.03,
}  # few long prompts: quick to simulate


def swept(**asked: Any) -> tuple[list[Compared], Said]:
    begun, *points, last = sweep(Sweep(**{**LAB, **asked}))
    assert isinstance(begun, Begun)
    simulated = [point for point in points if isinstance(point, Compared)]
    assert len(points) == len(simulated) <= begun.points
    return simulated, last


@pytest.fixture(scope="module")
def promises() -> tuple[list[Compared], Curve]:
    simulated, curve = swept(asks="promise")
    assert isinstance(curve, Curve)
    return simulated, curve


def test_a_curve_brackets_its_flip_and_says_where_you_are(promises: tuple[list[Compared], Curve]) -> None:
    _, curve = promises
    assert curve.flip is not None
    assert min(curve.at) < curve.low <= curve.flip <= curve.high < max(curve.at)
    assert curve.here == 0.03
    assert not curve.same
    sides = {split > chunked for split, chunked in zip(curve.split, curve.together, strict=True) if chunked and split}
    assert sides == {True, False}


def test_at_the_flip_both_plans_were_simulated_and_bear_about_the_same(promises: tuple[list[Compared], Curve]) -> None:
    simulated, curve = promises
    assert curve.flip
    nearest = min(simulated, key=lambda one: abs(one.tpot_slo_s - (curve.flip or 0.0)))
    assert curve.low / 1.1 < nearest.tpot_slo_s < curve.high * 1.1
    assert nearest.together.label
    assert nearest.split.label
    assert nearest.split.rate_per_s == pytest.approx(nearest.together.rate_per_s, rel=2 * curve.error)


def test_the_curve_goes_through_what_was_simulated_where_you_are(promises: tuple[list[Compared], Curve]) -> None:
    simulated, curve = promises
    here = simulated[0]
    assert here.tpot_slo_s == curve.here
    above = next(n for n, at in enumerate(curve.at) if at >= curve.here)
    assert curve.together[above - 1] * 0.9 <= here.together.rate_per_s <= curve.together[above] * 1.1


def test_what_is_the_same_everywhere_says_so_and_what_would_change_it() -> None:
    simulated, curve = swept(asks="link", tpot_slo_s=0.1)
    assert isinstance(curve, Curve)
    assert (curve.flip, curve.same) == (None, "colocated")
    assert any("promise" in one for one in curve.instead)
    assert simulated[0].together.rate_per_s > simulated[0].split.rate_per_s


def test_a_map_has_both_sides_and_its_boundary_was_simulated() -> None:
    simulated, found = swept(asks="map")
    assert isinstance(found, Boundary)
    known = [gain for row in found.gains for gain in row if gain is not None]
    assert min(known) < 1 < max(known)
    assert not found.same
    assert len(simulated) > 1
    assert (simulated[0].prompt_tokens, simulated[0].tpot_slo_s) == (8192, 0.03)
    assert len(found.gains) == len(found.promises)
    assert {len(row) for row in found.gains} == {len(found.prompts)}


def test_a_curve_over_prompts_has_its_flip_or_one_sentence() -> None:
    _, curve = swept(asks="prompt")
    assert isinstance(curve, Curve)
    assert list(curve.at) == sorted(curve.at)
    assert (curve.flip is None) == bool(curve.same)


def test_crossings_lie_straight_on_log_paper() -> None:
    assert _nearest_crossing([1, 100], [0.1, 10], 5) == pytest.approx(10)
    assert _nearest_crossing([1, 10, 100, 1000], [0.1, 10, 0.1, 0.1], 500) == pytest.approx(10**1.5)
    assert _nearest_crossing([1, 10, 100], [0.1, None, 10], 5) is None
    assert _band([1, 100], [0.1, 10], 10, 0.1) == pytest.approx((10 / 1.1, 11))


def test_roads_are_those_that_could_join_these_gpus() -> None:
    node, nodes = question_of(Sweep("link", "node")), question_of(Sweep("link", "infiniband"))
    assert "nvlink4" in [road.name for road in roads(node)]
    assert not {road.kind for road in roads(nodes)} & {"nvlink", "pcie"}
    rates = [road.achieved_bytes_per_s for road in roads(node)]
    assert all(later > earlier for earlier, later in pairwise(rates))


def test_what_nothing_serves_is_said_or_refused() -> None:
    _, curve = swept(asks="link", tpot_slo_s=0.001)
    assert isinstance(curve, Curve)
    assert curve.same == "none"
    with pytest.raises(BadInput):
        next(sweep(Sweep("prompt", "lab", "l4", "llama-3.3-70b")))


def test_the_best_plan_of_each_kind_uses_what_it_may_choose() -> None:
    found = best(question_of(Sweep("prompt", tpot_slo_s=0.008)))
    tight, loose = found.rates, best(question_of(Sweep("prompt", tpot_slo_s=0.1))).rates
    assert all(more >= less for more, less in zip(loose, tight, strict=True))
