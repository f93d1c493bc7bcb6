"""A paced link: never more bytes than its bandwidth allows and never fewer, whatever happens in between."""

import math

import pytest
from hypothesis import given, strategies as st

from engine.link import LinkSpec, Wire

ENOUGH = 1e-6  # of the bytes compared: sums of floats

bandwidths = st.floats(min_value=1e3, max_value=1e9)
spells = st.lists(st.tuples(st.one_of(st.just(0.0), bandwidths), st.floats(min_value=1e-3, max_value=2.0)), min_size=1)


def carry(wire: Wire, piece: int, begin: float, end: float) -> tuple[int, float]:
    """Move pieces as soon as they have crossed, until `end`. Bytes moved, and when the last of them had crossed."""
    moved, now = 0, begin
    while True:
        ready = now + wire.ready_s(piece, now)
        if ready > end:
            return moved, now
        now = ready
        wire.carried(piece, now)
        moved += piece


@given(bandwidth=bandwidths, nbytes=st.integers(1, 10**9), latency=st.floats(0, 10))
def test_the_formula(bandwidth: float, nbytes: int, latency: float) -> None:
    assert LinkSpec(bandwidth, latency).seconds(nbytes) == latency + nbytes / bandwidth
    assert LinkSpec(None, latency).seconds(nbytes) == latency
    assert LinkSpec(0, latency).seconds(nbytes) == math.inf


@given(bandwidth=bandwidths, nbytes=st.integers(1, 10**9), now=st.floats(0, 1e6))
def test_bytes_on_an_idle_wire_take_what_the_formula_says(bandwidth: float, nbytes: int, now: float) -> None:
    spec = LinkSpec(bandwidth)
    assert Wire(spec, now).ready_s(nbytes, now) == pytest.approx(spec.seconds(nbytes))


@given(spells=spells)
def test_as_many_bytes_cross_as_the_bandwidth_adds_up_to(spells: list[tuple[float, float]]) -> None:
    capacity = sum(bandwidth * seconds for bandwidth, seconds in spells)
    piece = max(1, int(max(bandwidth for bandwidth, _ in spells) * 0.01))
    wire, now, moved = Wire(LinkSpec(spells[0][0]), 0.0), 0.0, 0
    for bandwidth, seconds in spells:
        wire.change(LinkSpec(bandwidth), now)
        moved += carry(wire, piece, now, now + seconds)[0]
        now += seconds
    assert capacity * (1 - ENOUGH) - piece <= moved <= capacity * (1 + ENOUGH)


@given(bandwidth=bandwidths, late=st.floats(0, 0.5))
def test_a_pacer_that_was_late_makes_up_for_it(bandwidth: float, late: float) -> None:
    wire = Wire(LinkSpec(bandwidth), 0.0)
    ready = wire.ready_s(1000, 0.0)
    wire.carried(1000, ready + late)
    assert ready + late + wire.ready_s(10**9, ready + late) == pytest.approx((1000 + 10**9) / bandwidth)


@given(before=bandwidths, after=bandwidths, idle=st.floats(0, 1e4))
def test_an_idle_wire_saves_nothing_up(before: float, after: float, idle: float) -> None:
    wire = Wire(LinkSpec(before), 0.0)
    wire.change(LinkSpec(after), idle / 2)
    wire.open(idle)
    assert wire.ready_s(1000, idle) == pytest.approx(1000 / after)


def test_a_burst_cannot_begin_under_a_bandwidth_that_is_past() -> None:
    wire = Wire(LinkSpec(1e9), 0.0)
    wire.change(LinkSpec(1e3), 5.0)
    wire.open(1.0)
    assert wire.ready_s(1000, 5.0) == pytest.approx(1.0)


def test_a_change_counts_from_now_on() -> None:
    wire = Wire(LinkSpec(1000.0), 0.0)
    assert wire.ready_s(3000, 0.0) == 3.0
    wire.change(LinkSpec(2000.0), 1.0)  # a third has crossed
    assert wire.ready_s(3000, 1.0) == 1.0


def test_a_cut_wire_keeps_what_it_has_carried() -> None:
    wire = Wire(LinkSpec(1000.0), 0.0)
    wire.change(LinkSpec(0), 1.0)
    assert wire.ready_s(1000, 100.0) == 0.0
    assert wire.ready_s(1001, 100.0) == math.inf
    wire.change(LinkSpec(1.0), 100.0)
    assert wire.ready_s(1001, 100.0) == 1.0


def test_an_unpaced_wire_is_always_ready_and_leaves_no_debt() -> None:
    wire = Wire(LinkSpec(None), 0.0)
    assert wire.ready_s(10**12, 0.0) == 0.0
    wire.carried(10**12, 0.1)
    wire.change(LinkSpec(1000.0), 0.1)
    assert wire.ready_s(1000, 0.1) == 1.0
