"""When a run counts as disturbed, on made-up logs."""

import pytest

from engine.disturbed import JOINED, MOST, calmed, disturbance, disturbed, kept_waiting
from engine.events import Event, StepEnded, StepStarted, WorkerDown
from engine.plan import Slice
from engine.units import percent


def step(t: float, took_s: float, cpu_s: float | None, worker: str = "worker-0") -> list[Event]:
    return [StepStarted(t, worker, (Slice("a", 0, 1),), 0, 1, 8), StepEnded(t + took_s, worker, cpu_s)]


def steps(*each: tuple[float, float | None], worker: str = "worker-0") -> list[Event]:
    events: list[Event] = []
    for n, (took_s, cpu_s) in enumerate(each):
        events += step(float(n), took_s, cpu_s, worker)
    return events


def test_who_had_the_core_all_the_time_was_kept_from_nothing() -> None:
    assert kept_waiting(steps((0.5, 0.5), (0.25, 0.25))) == 0.0


def test_it_is_the_share_of_all_steps_together_not_of_the_worst_one() -> None:
    assert kept_waiting(steps((0.9, 0.9), (0.1, 0.05))) == pytest.approx(0.05)


def test_the_worst_worker_counts_however_well_the_others_fared() -> None:
    log = steps((0.5, 0.5)) + steps((0.5, 0.25), worker="worker-1")
    assert kept_waiting(log) == pytest.approx(0.5)
    assert disturbed(log)


def test_time_between_steps_is_nobody_s_loss() -> None:
    """A worker without requests sleeps, which is not a disturbance."""
    assert kept_waiting(step(0.0, 0.1, 0.1) + step(60.0, 0.1, 0.1)) == pytest.approx(0.0)


def test_more_than_a_core_makes_up_for_no_other_step() -> None:
    """Without pinning, the courier may use a second core; that must not hide a step that lost time."""
    assert kept_waiting(steps((0.5, 1.0), (0.5, 0.25))) == pytest.approx(0.25)


@pytest.mark.parametrize("share", [0.0, MOST / 2, MOST])
def test_up_to_the_limit_a_run_is_sound(share: float) -> None:
    assert not disturbed(steps((1.0, 1.0 - share + 1e-9)))
    assert disturbance(steps((1.0, 1.0 - share + 1e-9))) == ""


@pytest.mark.parametrize("share", [MOST + 0.01, 0.5, 1.0])
def test_beyond_it_is_disturbed(share: float) -> None:
    assert disturbed(steps((1.0, 1.0 - share)))
    assert f"for {percent(share)} of its steps' time" in disturbance(steps((1.0, 1.0 - share)))


def test_on_too_few_cores_the_workers_disturb_each_other() -> None:
    log = steps((1.0, 0.5)) + steps((1.0, 0.5), worker="worker-1")
    assert disturbance(log, "Some CPU, 1 core").endswith("did not have its core, since 2 workers share 1 core here.")
    assert disturbance(log, "Some CPU, 2 cores").endswith("because of something else on this machine.")


@pytest.mark.parametrize("log", [[], steps((0.5, None)), [StepEnded(1.0, "worker-0", 0.1)]])
def test_where_nobody_measured_nothing_is_said(log: list[Event]) -> None:
    assert kept_waiting(log) is None
    assert not disturbed(log)


def test_a_step_that_a_dying_worker_did_not_end_is_left_out() -> None:
    cut: list[Event] = [
        StepStarted(0.0, "worker-0", (Slice("a", 0, 1),), 0, 1, 8),
        WorkerDown(0.5, "worker-0", "killed"),
    ]
    assert kept_waiting(cut + step(3.0, 0.5, 0.5)) == 0.0


def test_without_what_was_lost_a_step_takes_its_own_time_and_all_after_it_is_earlier() -> None:
    log = [*step(1.0, 0.5, 0.2), *step(2.0, 0.5, 0.5)]
    assert [event.t for event in calmed(log)] == pytest.approx([1.0, 1.2, 1.7, 2.2])


def test_where_two_workers_lost_time_at_once_the_worse_one_counts_once() -> None:
    log = sorted([*step(0.0, 1.0, 0.5), *step(0.5, 1.0, 0.2, "worker-1")], key=lambda event: event.t)
    assert [event.t for event in calmed(log)] == pytest.approx([0.0, 0.25, 0.35, 0.45])


@pytest.mark.parametrize("log", [[], steps((0.5, None)), steps((0.5, 0.5), (0.25, 0.3))])
def test_a_run_that_lost_nothing_is_as_calm_as_it_was(log: list[Event]) -> None:
    assert list(calmed(log)) == log


def test_a_container_s_share_of_a_core_is_named_and_machines_elsewhere_are_not_this_one() -> None:
    log = steps((1.0, 0.5)) + steps((1.0, 0.5), worker="worker-1")
    assert disturbance(log, "Some CPU, 0.5 cores").endswith("since 2 workers share 0.5 cores here.")
    joined = f"Some CPU, 1 core; {JOINED}"
    assert disturbance(log, joined).endswith("because of something else on its machine.")
