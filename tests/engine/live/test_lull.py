"""Waiting for a moment in which nobody else computes."""

import os
from collections.abc import Callable

import pytest

from engine.live.machine.lull import IN_ALL_S, LONGEST_S, LOOK_S, Lull, Ticks, ticks


class World:
    """A machine whose cores are `busy`, a share of all of them."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.busy = 0.0
        self._ticks = [0.0, 0.0]

    def passes(self, seconds: float) -> None:
        self.now_s += seconds
        self._ticks[0] += 100 * seconds * (1 - self.busy)
        self._ticks[1] += 100 * seconds

    def read(self) -> Ticks:
        return round(self._ticks[0]), round(self._ticks[1])


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def lull(world: World) -> Lull:
    return Lull(len(os.sched_getaffinity(0)), world.read, lambda: world.now_s)


def until(came: Callable[[], bool], world: World) -> float:
    began_s = world.now_s
    while not came():
        world.passes(LOOK_S)
    return world.now_s - began_s


def test_where_none_is_awaited_it_is_there(lull: Lull) -> None:
    assert lull.came()


def test_free_cores_are_seen_at_the_first_look(lull: Lull, world: World) -> None:
    lull.begin()
    assert not lull.came()
    assert until(lull.came, world) < 3 * LOOK_S
    assert not lull.awaited


def test_it_comes_when_the_others_stop(lull: Lull, world: World) -> None:
    lull.begin()
    world.busy = 0.5
    for _ in range(9):
        world.passes(LOOK_S)
        assert not lull.came()
    world.busy = 0.0
    assert until(lull.came, world) < 3 * LOOK_S


def test_nobody_waits_for_ever_nor_again_and_again(lull: Lull, world: World) -> None:
    world.busy = 1.0
    waited = []
    for _ in range(20):
        lull.begin()
        waited.append(until(lull.came, world))
    assert max(waited) <= LONGEST_S + LOOK_S
    assert sum(waited) <= IN_ALL_S + 20 * LOOK_S
    assert waited[-1] == 0.0


def test_a_machine_that_does_not_say_is_not_waited_for(world: World) -> None:
    lull = Lull(2, lambda: None, lambda: world.now_s)
    lull.begin()
    assert until(lull.came, world) < 3 * LOOK_S


def test_the_kernel_counts_idle_ticks_among_all() -> None:
    said = ticks()
    if said is not None:
        idle, total = said
        assert 0 <= idle <= total
