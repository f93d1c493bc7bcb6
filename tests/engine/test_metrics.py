"""Metrics of logs whose metrics are known in advance."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, strategies as st

from engine.events import (
    Arrived,
    Event,
    Finished,
    HandoffEnded,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    WorkerDown,
)
from engine.log import in_order
from engine.metrics import HandoffResult, RequestResult, Spread, busy_s, summarize
from engine.plan import Slice

times = st.floats(min_value=0, max_value=1e4)


def life(request: str, arrival: float, *tokens: float, reason: str = "length") -> list[Event]:
    """A request that arrives and makes its tokens, number 0, 1 and so on, at the given times."""
    made = [
        TokenMade(t, "worker-0", request, index, 100 + index, f"{request}{index} ") for index, t in enumerate(tokens)
    ]
    end = Finished(tokens[-1] if tokens else arrival, request, reason, len(tokens))
    return [Arrived(arrival, request, 10, 32), *made, end]


def steps(worker: str, *spells: tuple[float, float]) -> list[Event]:
    """Steps from and to the given times."""
    plan = (Slice("r", 0, 1),)
    return [
        event
        for begun, ended in spells
        for event in (StepStarted(begun, worker, plan, 0, 1, 8), StepEnded(ended, worker))
    ]


def five(spread: Spread) -> tuple[float, ...]:
    return (spread.p50, spread.p90, spread.p99, spread.mean, spread.max)


def numpy_s(samples: Sequence[float]) -> tuple[float, ...]:
    return (*np.percentile(samples, [50, 90, 99]), float(np.mean(samples)), max(samples))


def test_one_request() -> None:
    summary = summarize(life("r1", 1.0, 1.5, 2.0, 2.25, 4.25))
    (result,) = summary.requests
    assert result == RequestResult(
        id="r1",
        prompt_tokens=10,
        output_tokens=4,
        output_ids=(100, 101, 102, 103),
        text="r10 r11 r12 r13 ",
        ttft_s=0.5,
        itl_s=(0.5, 0.25, 2.0),
        e2e_s=3.25,
        finished="length",
    )
    metrics = summary.metrics
    assert (metrics.ttft_s.p50, metrics.e2e_s.max) == (0.5, 3.25)
    assert metrics.tpot_s.mean == pytest.approx((3.25 - 0.5) / 3)
    assert metrics.max_stall_s == 2.0
    assert metrics.output_tokens_per_s == pytest.approx(4 / 3.25)


def test_two_requests_side_by_side() -> None:
    log = in_order([*life("r1", 0.0, 1.0, 2.0, 3.0), *life("r2", 0.5, 2.0, 6.0, reason="stop")])
    summary = summarize(log)
    metrics = summary.metrics
    assert [(result.id, result.finished) for result in summary.requests] == [("r1", "length"), ("r2", "stop")]
    assert five(metrics.ttft_s) == pytest.approx((1.25, 1.45, 1.495, 1.25, 1.5))
    assert five(metrics.itl_s) == pytest.approx((1.0, 3.4, 3.94, 2.0, 4.0))
    assert five(metrics.tpot_s) == pytest.approx((2.5, 3.7, 3.97, 2.5, 4.0))  # of each request's mean
    assert five(metrics.e2e_s) == pytest.approx((4.25, 5.25, 5.475, 4.25, 5.5))
    assert metrics.max_stall_s == 4.0
    assert metrics.output_tokens_per_s == 5 / 6


def test_a_request_of_one_token_has_no_gap_and_no_time_per_output_token() -> None:
    metrics = summarize(life("r1", 0.0, 1.0)).metrics
    assert metrics.itl_s == metrics.tpot_s == Spread()
    assert metrics.max_stall_s == 0.0
    assert metrics.e2e_s == metrics.ttft_s == Spread(1.0, 1.0, 1.0, 1.0, 1.0)


def test_a_request_that_made_no_token_counts_in_no_time() -> None:
    log = in_order([*life("r1", 0.0, reason="cancelled"), *life("r2", 0.0, 2.0)])
    summary = summarize(log)
    assert (summary.requests[0].ttft_s, summary.requests[0].e2e_s, summary.requests[0].output_ids) == (None, None, ())
    assert summary.metrics.ttft_s.max == 2.0
    assert summary.metrics.output_tokens_per_s == 0.5


def test_a_request_that_was_begun_anew_is_one_request_whose_gap_holds_the_delay() -> None:
    log: list[Event] = [
        Arrived(0.0, "r1", 10, 3),
        TokenMade(1.0, "worker-0", "r1", 0, 100),
        Recalled(1.5, "r1", "worker-0 is down"),
        TokenMade(4.0, "worker-1", "r1", 1, 101),
        Finished(4.0, "r1", "length", 2),
    ]
    (result,) = summarize(log).requests
    assert result.itl_s == (3.0,)
    assert result.output_ids == (100, 101)


def test_a_run_that_is_still_going_on_has_numbers_too() -> None:
    summary = summarize(life("r1", 0.0, 1.0, 3.0)[:-1])
    assert (summary.requests[0].finished, summary.requests[0].itl_s) == ("", (2.0,))


def test_nothing_makes_zeros() -> None:
    summary = summarize([])
    assert (summary.requests, summary.handoffs) == ((), ())
    assert summary.metrics.ttft_s == Spread()
    assert (summary.metrics.output_tokens_per_s, summary.metrics.max_stall_s, summary.metrics.busy) == (0.0, 0.0, {})


def test_every_handoff_is_listed_the_failed_one_too() -> None:
    ended = [
        HandoffEnded(1.0, "r1", "worker-0", "worker-1", 4000, 0.5, 8000.0, 10_000.0, False),
        HandoffEnded(2.0, "r1", "worker-0", "worker-1", 4000, 0.25, 16_000.0, None, True),
    ]
    assert summarize(ended).handoffs == (
        HandoffResult("r1", 4000, 0.5, 8000.0, False),
        HandoffResult("r1", 4000, 0.25, 16_000.0, True),
    )


@given(samples=st.lists(times, min_size=1, max_size=60))
def test_percentiles_are_numpy_s(samples: list[float]) -> None:
    assert five(Spread.of(samples)) == pytest.approx(numpy_s(samples))


@given(
    requests=st.lists(
        st.tuples(times, st.lists(st.floats(min_value=1e-3, max_value=10), min_size=2, max_size=8)),
        min_size=1,
        max_size=6,
    )
)
def test_the_same_in_numpy(requests: list[tuple[float, list[float]]]) -> None:
    lives = [(arrival, arrival + np.cumsum(waits)) for arrival, waits in requests]
    log = in_order([event for n, (arrival, made) in enumerate(lives) for event in life(f"r{n}", arrival, *made)])
    metrics = summarize(log).metrics
    gaps = np.concatenate([np.diff(made) for _, made in lives]).tolist()
    per_token = [(made[-1] - made[0]) / (len(made) - 1) for _, made in lives]
    for spread, samples in (
        (metrics.ttft_s, [made[0] - arrival for arrival, made in lives]),
        (metrics.itl_s, gaps),
        (metrics.tpot_s, per_token),
        (metrics.e2e_s, [made[-1] - arrival for arrival, made in lives]),
    ):
        assert five(spread) == pytest.approx(numpy_s(samples), abs=1e-9)
    span = max(made[-1] for _, made in lives) - min(arrival for arrival, _ in lives)
    assert metrics.max_stall_s == pytest.approx(max(gaps), abs=1e-9)
    assert metrics.output_tokens_per_s == pytest.approx(sum(len(made) for _, made in lives) / span)


def test_busy_is_the_time_in_steps_by_worker() -> None:
    log = in_order([*steps("worker-0", (0.0, 2.0), (3.0, 4.0)), *steps("worker-1", (1.0, 1.5))])
    assert busy_s(log) == {"worker-0": 3.0, "worker-1": 0.5}


def test_busy_as_a_share_of_the_time_from_first_arrival_to_last_token() -> None:
    log = in_order([*life("r1", 1.0, 3.0, 5.0), *steps("worker-0", (1.0, 3.0), (4.0, 5.0))])
    assert summarize(log).metrics.busy == {"worker-0": 0.75}


def test_a_step_that_its_worker_did_not_survive_counts_until_its_death() -> None:
    begun, _ = steps("worker-0", (1.0, 9.0))
    again = steps("worker-0", (5.0, 6.0))
    assert busy_s([begun, WorkerDown(3.0, "worker-0", "killed"), *again]) == {"worker-0": 3.0}
