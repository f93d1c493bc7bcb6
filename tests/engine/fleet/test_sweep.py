"""Sweeps over simulated sites: their shapes, their limits, and their process."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from engine.errors import BadInput
from engine.fleet.advisor.trial import capacity_of
from engine.fleet.catalog.hardware import fabric, gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.catalog.sites import SITES
from engine.fleet.estimate.workers import link_of, worker_on
from engine.fleet.sweep.payoff import edges, question_of
from engine.fleet.sweep.plans import best_plan, busy_rate_per_s, splits_by_ratio
from engine.fleet.sweep.said import Begun, Compared, Ratio, Refused, Said, Sustained, Sweep, Tried
from engine.fleet.sweep.sweep import LOADS, _between, sweep
from engine.scenario import KINDS
from tests.patience import PATIENCE_S

SMALL: dict[str, Any] = {"site": "lab", "gpu": "h100-sxm", "prompt_tokens": 8192, "output_tokens": 16}


def test_a_latent_is_read_and_sent_whole_by_every_gpu() -> None:
    grouped, latent = model("llama-3.3-70b"), model("deepseek-v3")
    road = fabric("ib-400g")
    assert link_of(grouped, road, 4).bandwidth_bytes_per_s == 4 * road.achieved_bytes_per_s
    assert link_of(latent, road, 8).bandwidth_bytes_per_s == road.achieved_bytes_per_s


def test_a_model_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(BadInput, match="prompt and output tokens is 200000, but must be at most"):
        worker_on(model("llama-3.1-8b"), gpu("l4"), context=200_000)


def test_load_tries_all_deployments_under_the_same_rates() -> None:
    begun, *points = sweep(Sweep("load", **SMALL))
    assert isinstance(begun, Begun)
    assert begun.points == len(points)
    tried = [point for point in points if isinstance(point, Tried)]
    rates = {
        kind: [p.rate_per_s for p in tried if p.kind == kind] for kind in ("colocated", "chunked", "disaggregated")
    }
    assert [len(own) for own in rates.values()] == [len(LOADS)] * 3
    assert rates["colocated"] == rates["chunked"] == rates["disaggregated"]
    best = max(p.rate_per_s for p in points if isinstance(p, Sustained))
    assert [p.attained >= 0.9 for p in tried if p.rate_per_s < 0.5 * best and p.kind == "chunked"] == [True, True]
    over = [p.attained for p in tried if p.rate_per_s > 1.1 * best]
    assert len(over) == 3
    assert max(over) < 0.9
    assert all(p.attained * p.rate_per_s / 4 == pytest.approx(p.goodput_per_s_per_gpu) for p in tried)


@pytest.fixture(scope="module")
def ratio() -> list[Said]:
    return list(sweep(Sweep("ratio", **SMALL)))


def test_another_seed_does_not_say_the_same(ratio: list[Said]) -> None:
    assert ratio != list(sweep(Sweep("ratio", **SMALL, seed=1)))
    assert [p.prefill_gpus for p in ratio if isinstance(p, Sustained)] == [0, 0, 1, 2, 3]


def test_the_best_ratio_and_where_it_overtakes_are_bracketed_by_their_neighbours() -> None:
    assert _between({1: 1.0, 5: 3.0, 9: 1.0}, level=9.0) == [3, 7]
    assert _between({1: 1.0, 2: 3.0, 9: 1.0}, level=9.0) == [5]
    assert _between({1: 1.0, 2: 3.0, 3: 1.0}, level=2.0) == []
    assert _between({1: 1.0, 5: 3.0, 9: 4.0, 13: 5.0}, level=2.0) == [3, 11]


def test_a_ratio_question_says_which_ratios_sustain_more_or_that_none_does() -> None:
    (*points, found), gpus = list(sweep(Sweep("ratio", "lab", "h100-sxm", prompt_tokens=8192, tpot_slo_s=0.012))), 4
    assert isinstance(found, Ratio)
    rates = {p.prefill_gpus: p.rate_per_s for p in points if isinstance(p, Sustained) and p.prefill_gpus}
    level = max(p.rate_per_s for p in points if isinstance(p, Sustained) and not p.prefill_gpus)
    assert rates[found.as_good[0]] > 0.8 * max(rates.values())
    assert not found.same
    for edge in found.edges:
        assert 1 <= edge.low <= edge.at <= edge.high < gpus
        below, above = max(g for g in rates if g <= edge.at), min(g for g in rates if g >= edge.at)
        assert (rates[below] < level) != (rates[above] < level)


def test_the_same_at_every_ratio_comes_with_what_would_change_it() -> None:
    *_, found = sweep(Sweep("ratio", "lab", "h100-sxm", prompt_tokens=8192, output_tokens=64, tpot_slo_s=0.1))
    assert isinstance(found, Ratio)
    assert (found.edges, found.same) == ((), "colocated")
    assert any("promise" in one for one in found.instead)


def test_an_edge_may_lie_wherever_the_sides_differ_by_less_than_the_error() -> None:
    level = 10.0
    (one,), same = edges([1, 2, 3], [(level, 5.0), (level, 9.5), (level, 20.0)], 0.1)
    assert not same
    assert 1 < one.low < 2 < one.at < one.high < 3
    (near,), _ = edges([1, 2, 3], [(level, 5.0), (level, 9.5), (level, 10.5)], 0.1)
    assert near.high == 3  # never more than the error above the level
    assert edges([1, 2], [(level, 5.0), (level, 6.0)], 0.1) == ((), "colocated")


def test_every_question_judges_a_plan_as_the_advisor_does() -> None:
    """At the same prompt, promise and link the same plan sustains the same, whatever is asked about it."""
    load, link = (list(sweep(Sweep(asks, **SMALL))) for asks in ("load", "link"))
    question = question_of(Sweep("load", **SMALL))
    found = {one.plan.label: one.rate_per_s for one in load if isinstance(one, Sustained)}
    here = next(one for one in link if isinstance(one, Compared))
    assert found[here.split.label] == here.split.rate_per_s
    assert found[here.together.label] == here.together.rate_per_s
    for one in load:
        if isinstance(one, Sustained):
            assert capacity_of(question, one.plan).sustained_per_s == one.rate_per_s


def test_what_can_be_watched_fits_the_site_even_if_nothing_keeps_the_promises() -> None:
    for promise_s in (0.05, 0.0001):
        question = question_of(Sweep("ratio", **{**SMALL, "tpot_slo_s": promise_s}))
        assert busy_rate_per_s(question) > 0
        for plan in (*(best_plan(question, kind) for kind in KINDS), *splits_by_ratio(question).values()):
            assert sum(pool.gpus for pool in (*(plan.split or ()), plan.both) if pool) <= question.gpus


def test_one_port_for_all_sustains_less_than_one_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same link and long prompts: four GPUs through one 10G port, or each through its own."""
    rate = {}
    for one_port in (True, False):
        ethernet = msgspec.structs.replace(SITES["ethernet"], gpus=4, road="eth-10g", one_port=one_port)
        monkeypatch.setitem(SITES, "ethernet", ethernet)
        asked = Sweep("ratio", **{**SMALL, "site": "ethernet", "tpot_slo_s": 0.2})
        rate[one_port] = max(
            p.rate_per_s for p in sweep(asked) if isinstance(p, Sustained) and p.kind == "disaggregated"
        )
    assert rate[True] < rate[False]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"asks": "all"}, "sweep is 'all', but must be one of load, ratio, prompt, promise, link, map."),
        ({"site": "moon"}, "site is 'moon', but must be one of lab,"),
        ({"model": "/etc/config.json"}, "model is '/etc/config.json', but must be one of"),
        ({"output_tokens": 100_000}, "output tokens is 100000, but must be a whole number from 2 to 2,048."),
        ({"ttft_slo_s": 0.0}, "TTFT SLO is 0.0, but must be above 0, in seconds."),
        ({"site": "lab", "gpu": "l4", "model": "llama-3.3-70b"}, "model is 'llama-3.3-70b on 8 × l4 a worker', but"),
    ],
)
def test_what_is_not_simulated(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput) as raised:
        next(sweep(Sweep(**wrong)))  # type: ignore[arg-type]
    assert str(raised.value).startswith(sentence)


def test_the_process_says_the_same_in_json_lines(ratio: list[Said]) -> None:
    def lines(request: bytes) -> tuple[int, list[Said]]:
        line = [sys.executable, "-m", "engine.fleet.sweep.sweep"]
        done = subprocess.run(line, input=request, capture_output=True, timeout=PATIENCE_S)
        return done.returncode, [msgspec.json.decode(one, type=Said) for one in done.stdout.splitlines()]

    code, said = lines(msgspec.json.encode(Sweep("ratio", **SMALL)))
    assert (code, said) == (0, ratio)
    code, said = lines(b'{"asks": "ratio", "site": "moon"}')
    assert (code, type(said[0]), len(said)) == (2, Refused, 1)
    assert lines(b"nonsense")[0] == 2
