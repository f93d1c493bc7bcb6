"""A trace as the advisor's load: played from its beginning again until a cluster is full, since few requests fit
anywhere at once."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from engine.fleet.advisor.advisor import advise
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.simulation import enough, load
from engine.workload import Draft

FEW = (Draft(0, 0.0, 2162, 5), Draft(1, 3.0, 2399, 6))
TOGETHER = tuple(Draft(n, 0.0, 4096, 64) for n in range(50))


def asking(trace: tuple[Draft, ...]) -> Question:
    return Question(8, "h100-sxm", trace=trace).checked()


@pytest.mark.parametrize("trace", [FEW, FEW[:1], TOGETHER], ids=["two requests", "one", "fifty at once"])
def test_a_short_trace_has_a_capacity(trace: tuple[Draft, ...]) -> None:
    advice = advise(asking(trace))
    assert 1 < advice.chosen.sustained_per_s < 2000
    assert "from its beginning again" in advice.assumes


def test_a_plan_sustains_no_more_of_a_trace_s_first_half() -> None:
    """Nor of what fits into it at once."""
    steady = tuple(Draft(n, float(n), 4096, 256) for n in range(400))
    whole, half = (advise(asking(steady[:count])).chosen.sustained_per_s for count in (400, 100))
    assert half == pytest.approx(whole, rel=0.1)


traces = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 900), st.integers(1, 90)), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(traces, st.floats(0.1, 300))
def test_it_comes_at_the_asked_rate_and_in_order(drawn: list[tuple[float, int, int]], rate_per_s: float) -> None:
    t, trace = 0.0, []
    for n, (after_s, prompt, output) in enumerate(drawn):
        trace.append(Draft(n, t, prompt, output, (n, n + 1)))
        t += after_s
    question = asking(tuple(trace))
    coming = load(question, rate_per_s)
    assert len(coming) >= enough(question, rate_per_s)
    assert len(coming) % len(trace) == 0
    assert [draft.number for draft in coming] == list(range(len(coming)))
    assert all(a.arrival_s <= b.arrival_s + 1e-9 for a, b in pairwise(coming))
    again = coming[len(trace)].arrival_s if len(coming) > len(trace) else len(trace) / rate_per_s
    assert again == pytest.approx(len(trace) / rate_per_s)
    first, second = (
        {block for draft in part for block in draft.prefix_blocks}
        for part in (coming[: len(trace)], coming[len(trace) : 2 * len(trace)])
    )
    assert not first & second
    assert [msgspec.structs.replace(draft, arrival_s=0, number=0) for draft in coming[: len(trace)]] == [
        msgspec.structs.replace(draft, arrival_s=0, number=0) for draft in trace
    ]
