"""Bursts and closed loops."""

from itertools import pairwise
from statistics import mean, pstdev
from typing import Any

import pytest

from engine import simulate
from engine.errors import BadInput
from engine.events import Arrived, Finished
from engine.grammar import check
from engine.scenario import KINDS, Workload
from engine.workload import drafts
from tests.engine.sim.kitchenette import WORKER, scenario


def gaps(**settings: Any) -> list[float]:
    arrivals = [draft.arrival_s for draft in drafts(Workload(requests=20_000, rate_per_s=4.0, **settings))]
    return [after - before for before, after in pairwise(arrivals)]


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 2.0])
def test_gamma_arrivals_keep_the_rate_and_have_the_burstiness_asked_for(burstiness: float) -> None:
    drawn = gaps(arrivals="gamma", burstiness=burstiness)
    assert mean(drawn) == pytest.approx(0.25, rel=0.05)
    assert pstdev(drawn) / mean(drawn) == pytest.approx(burstiness, rel=0.05)


def test_on_off_arrivals_keep_the_rate_and_the_pauses() -> None:
    arrivals = [d.arrival_s for d in drafts(Workload(requests=20_000, rate_per_s=4.0, arrivals="onoff", burst_s=5.0))]
    assert 20_000 / arrivals[-1] == pytest.approx(4.0, rel=0.05)
    assert all(t % 10.0 <= 5.0 + 1e-6 for t in arrivals)


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_closed_loop_nobody_asks_before_they_are_answered(kind: str) -> None:
    log = simulate(scenario(kind, requests=30, users=3, workers=2), WORKER)
    check(log.events)
    open_ = most = 0
    for event in log.events:
        open_ += isinstance(event, Arrived) - isinstance(event, Finished)
        most = max(most, open_)
    assert most == 3
    assert sum(isinstance(event, Finished) for event in log.events) == 30


def test_a_closed_loop_has_no_rate() -> None:
    with pytest.raises(BadInput, match=r"rate is 2\.0, but must be inf"):
        Workload(users=3, rate_per_s=2.0).checked()
