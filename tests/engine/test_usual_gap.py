"""A running median, against numpy's."""

import numpy as np
from hypothesis import given, strategies as st

from engine.usual_gap import RunningMedian


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 5)), min_size=1, max_size=60))
def test_it_is_the_median_after_every_sample(samples: list[tuple[float, int]]) -> None:
    median = RunningMedian()
    assert median.value is None
    every: list[float] = []
    for sample, weight in samples:
        median.add(sample, weight)
        every += [sample] * weight
        assert median.value == np.median(every)
        assert median.weight == len(every)
