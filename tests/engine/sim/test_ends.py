"""A formula for when steps end says what adding them up says, for each step and at every moment."""

from bisect import bisect_right
from itertools import accumulate

from hypothesis import given, strategies as st

from engine.sim.clock import PS_PER_S
from engine.sim.ends import Ends, ends, rising

BEGUN = st.integers(0, 10**16)


def alike(found: Ends, listed: list[int], now: int) -> None:
    assert (found.steps, found.last) == (len(listed), listed[-1])
    assert found.seconds == tuple(end / PS_PER_S for end in listed)
    assert found.first_s == listed[0] / PS_PER_S
    assert found.ended(now) == bisect_right(listed, now)
    for end in (listed[0], listed[len(listed) // 2], listed[-1]):
        assert [found.ended(end - 1), found.ended(end)] == [bisect_right(listed, end - 1), bisect_right(listed, end)]


@given(BEGUN, st.integers(1, 10**11), st.integers(0, 10**9), st.integers(1, 300), st.integers(0, 10**12))
def test_steps_that_grow_alike(begun: int, first: int, grows: int, steps: int, passed: int) -> None:
    listed = list(accumulate([first + n * grows for n in range(steps)], initial=begun))[1:]
    evenly = rising(begun, first, grows, steps)
    alike(evenly, listed, begun + passed)
    fewer = 1 + passed % steps
    alike(evenly.until(fewer), listed[:fewer], begun + passed)


@given(BEGUN, st.lists(st.integers(1, 10**11), min_size=1, max_size=60), st.integers(0, 10**12))
def test_steps_that_do_not(begun: int, lasting: list[int], passed: int) -> None:
    listed = list(accumulate(lasting, initial=begun))[1:]
    alike(ends(begun, lasting), listed, begun + passed)
    fewer = 1 + passed % len(listed)
    alike(ends(begun, lasting).until(fewer), listed[:fewer], begun + passed)
