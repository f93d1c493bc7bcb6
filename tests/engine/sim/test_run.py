"""A simulated run: the same log as a live one, from the same scenario."""

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from engine import simulate
from engine.errors import BadInput
from engine.events import HandoffMoved
from engine.grammar import check
from engine.link import LinkSpec
from engine.log import dump, parse
from engine.metrics import summarize
from engine.scenario import KINDS
from engine.sim.leap import Happening
from engine.sim.run import count, run
from engine.workload import Draft
from tests.engine.sim.kitchenette import COST, WORKER, scenario
from tests.engine.stages import stages


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_obeys_the_grammar_and_can_be_read_back(kind: str) -> None:
    log = simulate(scenario(kind, LinkSpec(1e6, 0.002), requests=30, rate_per_s=5.0, workers=3), WORKER)
    check(log.events)
    assert parse(dump(log)) == log
    assert {result.output_tokens for result in summarize(log.events).requests} == {32}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_log_byte_for_byte(kind: str) -> None:
    wanted = scenario(kind, LinkSpec(1e6), requests=20, rate_per_s=8.0, seed=3)
    assert dump(simulate(wanted, WORKER)) == dump(simulate(wanted, WORKER))
    other = scenario(kind, LinkSpec(1e6), requests=20, rate_per_s=8.0, seed=4)
    assert dump(simulate(wanted, WORKER)) != dump(simulate(other, WORKER))


def test_one_request_alone_takes_what_the_formulas_say() -> None:
    log = simulate(scenario("colocated", workers=1, requests=1, prompt_tokens=100, output_tokens=3), WORKER)
    [result] = summarize(log.events).requests
    assert result.ttft_s == pytest.approx(0.01 + 0.003 + 100e-4 + 100 * 50 * 1e-9)
    assert result.itl_s == pytest.approx((0.01 + 1e-4 + 101e-6, 0.01 + 1e-4 + 102e-6))


def test_a_handoff_takes_what_the_link_s_formula_says() -> None:
    link = LinkSpec(1e6, 0.005)
    log = simulate(scenario("disaggregated", link, requests=1, prompt_tokens=100, output_tokens=3), WORKER)
    [handoff] = summarize(log.events).handoffs
    assert handoff.bytes == 7 * 16 * 1000  # whole blocks
    assert handoff.seconds == pytest.approx(link.seconds(handoff.bytes))


@pytest.mark.parametrize("ship", ["whole", "layers"])
def test_a_tray_is_seen_moving_and_arrives_whole(ship: str) -> None:
    log = simulate(scenario("disaggregated", LinkSpec(2e5), requests=3, ship=ship, output_tokens=3), WORKER)
    check(log.events)
    for handoff in summarize(log.events).handoffs:
        moved = [e.bytes_done for e in log.events if isinstance(e, HandoffMoved) and e.request == handoff.request]
        assert len(moved) > 5
        assert moved == sorted(moved)
        assert moved[-1] == handoff.bytes


@pytest.mark.parametrize("kind", KINDS)
def test_counting_leaps_gives_the_numbers_of_the_whole_log(kind: str) -> None:
    wanted = scenario(kind, LinkSpec(1e6, 0.002), requests=40, rate_per_s=6.0, workers=3, output_tokens=20)
    counted, summed = count(wanted, WORKER), summarize(simulate(wanted, WORKER).events)
    assert len(counted.requests) == len(summed.requests)
    for name in counted.metrics.__struct_fields__:
        mine, theirs = getattr(counted.metrics, name), getattr(summed.metrics, name)
        if hasattr(mine, "p50"):
            for field in mine.__struct_fields__:
                assert getattr(mine, field) == pytest.approx(getattr(theirs, field)), (name, field)
        else:
            assert mine == pytest.approx(theirs), name
    for mine, theirs in zip(counted.requests, summed.requests, strict=True):
        assert (mine.id, mine.output_tokens, mine.finished) == (theirs.id, theirs.output_tokens, theirs.finished)
        assert (mine.ttft_s, mine.e2e_s) == pytest.approx((theirs.ttft_s, theirs.e2e_s))


@settings(max_examples=40)
@given(st.sampled_from(KINDS), st.sampled_from(["whole", "layers"]), st.floats(0.5, 40), st.integers(0, 99))
def test_the_stages_of_a_request_make_up_its_time(kind: str, ship: str, rate: float, seed: int) -> None:
    wanted = scenario(kind, LinkSpec(5e5, 0.002), requests=15, rate_per_s=rate, ship=ship, seed=seed, workers=3)
    events = simulate(wanted, WORKER).events
    spent = stages(events)
    for result in summarize(events).requests:
        parts = [getattr(spent[result.id], name) for name in spent[result.id].__struct_fields__]
        assert min(parts) >= 0
        assert sum(parts) == pytest.approx(result.e2e_s)
    if kind != "disaggregated":
        assert all(one.shipping_s == 0 for one in spent.values())


def test_what_can_never_fit_is_refused_before_anything_starts() -> None:
    with pytest.raises(BadInput, match=r"prompt tokens is '70000 \+ 32 output tokens', but must be at most 60,000"):
        simulate(scenario(requests=1, prompt_tokens=70_000), WORKER)


def test_scatter_is_seeded_and_keeps_the_mean() -> None:
    wanted = scenario("colocated", requests=20, rate_per_s=2.0)
    shaken = msgspec.structs.replace(WORKER, cost=COST, scatter=(0.5, 1.0, 1.5), prefill_scatter=(1.0,))
    assert dump(simulate(wanted, shaken)) == dump(simulate(wanted, shaken))
    calm, noisy = (count(wanted, worker).metrics.itl_s for worker in (WORKER, shaken))
    assert noisy.p90 > 1.3 * calm.p90
    assert noisy.mean == pytest.approx(calm.mean, rel=0.1)


@pytest.mark.parametrize("rate", [4.0, None])
def test_what_is_written_down_grows_with_the_requests_and_no_faster(rate: float | None) -> None:
    sizes = []
    for requests in (500, 1000):
        record: list[Happening] = []
        run(
            scenario("colocated", requests=requests, rate_per_s=rate, prompt_tokens=20, workers=2),
            WORKER,
            record.append,
        )
        sizes.append(len(record))
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_on_its_way_for_a_moment_before_it_can_be_prefilled(kind: str) -> None:
    one = [Draft(0, 0.0, 100, 5)]
    soon, late = (
        count(scenario(kind, workers=2), msgspec.structs.replace(WORKER, accept_s=accept_s), one).metrics
        for accept_s in (0.0, 0.25)
    )
    assert late.ttft_s.mean == pytest.approx(soon.ttft_s.mean + 0.25)
    assert late.itl_s.mean == pytest.approx(soon.itl_s.mean)
