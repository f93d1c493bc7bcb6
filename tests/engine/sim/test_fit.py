"""A cost fitted to a log is the cost that the log was made with, and a run compared with itself shows no gap."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from engine import simulate
from engine.errors import BadInput
from engine.link import LinkSpec
from engine.sim.fit import fit, non_negative, scatter, unpaced_bytes_per_s
from engine.sim.reality import against, calibrated
from tests.engine.sim.kitchenette import COST, WORKER, scenario

MIXED: dict[str, Any] = {"requests": 30, "rate_per_s": 3.0, "long_every": 3, "long_prompt_tokens": 900, "workers": 2}


def test_fitting_a_simulated_log_gives_its_cost_back() -> None:
    fitted = fit([simulate(scenario("chunked", **MIXED), WORKER).events])
    for tokens, rows, context in ((100, 0, 0), (256, 3, 900), (0, 5, 2000)):
        prefill = [(0, tokens)] if tokens else []
        assert fitted.step_s(prefill, rows, context) == pytest.approx(COST.step_s(prefill, rows, context), rel=1e-3)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_no_work_takes_negative_time_and_no_feasible_step_fits_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(20, 4)), rng.normal(size=20)
    x = non_negative(a, b)
    assert (x >= 0).all()
    gradient = a.T @ (b - a @ x)  # Karush-Kuhn-Tucker: none to gain, and exactly none where x is above 0
    assert (gradient < 1e-6).all()
    assert np.abs(gradient[x > 0]).max(initial=0) < 1e-6


def test_a_log_with_too_few_steps_is_refused() -> None:
    with pytest.raises(BadInput, match="cost is 'a log with 2 steps'"):
        fit([simulate(scenario("colocated", requests=1, output_tokens=2), WORKER).events])


def test_an_unpaced_handoff_shows_what_the_transport_does() -> None:
    import msgspec

    host = msgspec.structs.replace(WORKER, handoff_bytes_per_s=3e6)
    assert unpaced_bytes_per_s([simulate(scenario(**MIXED), host).events]) == pytest.approx(3e6, rel=1e-3)
    assert unpaced_bytes_per_s([simulate(scenario(link=LinkSpec(1e6), **MIXED), host).events]) is None


def test_a_model_of_a_simulated_log_foretells_another_seed_of_it() -> None:
    import msgspec

    shaken = msgspec.structs.replace(WORKER, scatter=(0.9, 1.0, 1.3), prefill_scatter=(1.0, 1.2))
    log, other = (simulate(scenario("chunked", seed=seed, **MIXED), shaken) for seed in (1, 2))
    worker = calibrated(WORKER, log.events)
    assert np.mean(worker.scatter) == pytest.approx(1.0, abs=0.1)
    assert scatter(worker.cost, log.events) == (worker.scatter, worker.prefill_scatter)
    assert abs(against(other, worker).worst.error) < 0.1
