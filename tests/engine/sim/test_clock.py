"""Alarms ring in order of time, those of one moment in the order in which they were set, and may set others."""

from hypothesis import given, strategies as st

from engine.sim.clock import Alarm, Clock


@given(st.lists(st.integers(0, 5), min_size=1))
def test_alarms_ring_at_their_time_and_in_the_order_set(delays: list[int]) -> None:
    clock, rung = Clock(), []
    alarms = [clock.alarm(delay, lambda alarm: rung.append((clock.ps, alarms.index(alarm)))) for delay in delays]
    clock.run()
    assert rung == sorted(zip(delays, range(len(delays)), strict=True))


def test_an_alarm_may_set_the_next_one() -> None:
    clock, rung = Clock(), []

    def ring(_: Alarm) -> None:
        rung.append(clock.ps)
        if clock.ps < 30:
            clock.alarm(10, ring)

    clock.alarm(10, ring)
    clock.run()
    assert rung == [10, 20, 30]
    assert clock.s == 30e-12
