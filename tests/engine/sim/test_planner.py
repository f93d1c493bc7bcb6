"""Pools that follow the load, lose no request, and take time to start, drain and change roles."""

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from engine.errors import BadInput
from engine.events import Deployed, Finished, WorkerDown, WorkerUp
from engine.grammar import check
from engine.link import LinkSpec
from engine.log import Log
from engine.sim.planner import PlannerSpec
from engine.sim.run import ClusterSpec, count, simulate
from engine.workload import Draft
from tests.engine.sim.kitchenette import WORKER, scenario

LOAD = PlannerSpec(
    mode="load", interval_s=5.0, ttft_s=0.5, itl_s=0.05, startup_s=10.0, switch_s=1.0, change_roles=False
)


def wave(rates: list[tuple[float, float]], prompt: int, output: int) -> list[Draft]:
    """Evenly spaced arrivals, at each rate for so many seconds."""
    drafts: list[Draft] = []
    t = 0.0
    for rate, seconds in rates:
        for n in range(round(rate * seconds)):
            drafts.append(Draft(len(drafts), t + n / rate, prompt, output))
        t += seconds
    return drafts


def planned(planner: PlannerSpec, drafts: list[Draft], workers: int = 2, prefill: int = 1) -> Log:
    wanted = scenario(link=LinkSpec(1e9), workers=workers, prefill_workers=prefill)
    log = simulate(wanted, ClusterSpec(WORKER, planner=planner), drafts)
    check(log.events)
    assert sum(isinstance(event, Finished) for event in log.events) == len(drafts)
    return log


def test_prefill_grows_under_load_after_the_time_a_start_takes() -> None:
    log = planned(LOAD, wave([(8.0, 120.0)], 2000, 8))  # 0.2 s each: one worker sustains less than 5 a second
    ups = [event.t for event in log.events if isinstance(event, WorkerUp) and event.t > 0]
    assert ups
    assert ups[0] >= 5.0 + 10.0
    roles = [event.roles for event in log.events if isinstance(event, Deployed)][-1]
    assert sum(role == "prefill_only" for _, role in roles) > 1
    alone = count(scenario(link=LinkSpec(1e9)), WORKER, wave([(8.0, 120.0)], 2000, 8)).metrics
    grown = count(
        scenario(link=LinkSpec(1e9)), ClusterSpec(WORKER, planner=LOAD), wave([(8.0, 120.0)], 2000, 8)
    ).metrics
    assert grown.ttft_s.mean < 0.3 * alone.ttft_s.mean


def test_pools_shrink_when_the_load_has_gone_and_keep_one_worker() -> None:
    log = planned(LOAD, wave([(0.2, 120.0)], 500, 4), workers=6, prefill=3)
    assert sum(isinstance(event, WorkerDown) for event in log.events) == 4


def test_a_pool_does_not_shrink_below_what_the_demand_takes_though_it_rests_for_a_moment() -> None:
    """Evenly spaced prompts find every queue empty; one worker sustains 3.5 of them a second within the target."""
    log = planned(LOAD, wave([(5.0, 120.0)], 2000, 2), workers=5, prefill=3)
    gone = [event.worker for event in log.events if isinstance(event, WorkerDown)]
    assert len({"worker-0", "worker-1", "worker-2"} & set(gone)) == 1  # of those that prefill


def test_a_worker_that_one_pool_can_spare_changes_roles() -> None:
    planner = msgspec.structs.replace(LOAD, change_roles=True, most_workers=4)
    log = planned(planner, wave([(9.0, 90.0)], 2000, 2), workers=4, prefill=1)
    before, after = [event for event in log.events if isinstance(event, Deployed)][:2]
    changed = [(was, now) for (_, was), (_, now) in zip(before.roles, after.roles, strict=True) if was != now]
    assert changed == [("decode_only", "prefill_only")]
    assert after.t >= 5.0 + 1.0  # the first look at the load, and the time a switch takes


def test_throughput_mode_sizes_pools_for_the_demand_it_saw() -> None:
    planner = msgspec.structs.replace(LOAD, mode="throughput", interval_s=30.0, most_workers=8)
    log = planned(planner, wave([(8.0, 120.0)], 2000, 8))
    roles = [dict(event.roles) for event in log.events if isinstance(event, Deployed)][-1]
    assert sum(role == "prefill_only" for role in roles.values()) >= 2  # 8/s × 0.21 s is more than one can do


@settings(max_examples=25)
@given(
    st.sampled_from(["load", "throughput"]),
    st.booleans(),
    st.lists(st.tuples(st.floats(0.5, 12.0), st.floats(5.0, 30.0)), min_size=1, max_size=4),
    st.integers(50, 1500),
    st.integers(2, 60),
)
def test_whatever_the_planner_does_every_request_ends(
    mode: str, change_roles: bool, rates: list[tuple[float, float]], prompt: int, output: int
) -> None:
    planner = msgspec.structs.replace(LOAD, mode=mode, change_roles=change_roles, interval_s=3.0, most_workers=6)
    planned(planner, wave([*rates, (1.0, 1.0)], prompt, output), workers=4, prefill=2)


def test_a_planner_needs_pools_and_sound_numbers() -> None:
    with pytest.raises(BadInput, match="planner is 'colocated'"):
        count(scenario("colocated"), ClusterSpec(WORKER, planner=LOAD))
    with pytest.raises(BadInput, match="planner most workers is 1"):
        count(scenario(), ClusterSpec(WORKER, planner=msgspec.structs.replace(LOAD, most_workers=1)))


def test_a_planner_of_a_closed_loop_stops_watching_when_the_last_answer_has_ended() -> None:
    loop = scenario(link=LinkSpec(1e9), workers=2, users=2)
    log = simulate(loop, ClusterSpec(WORKER, planner=LOAD), [Draft(n, 0.0, 500, 8) for n in range(5)])
    assert sum(isinstance(event, Finished) for event in log.events) == 5
