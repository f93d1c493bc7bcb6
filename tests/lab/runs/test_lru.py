"""What is kept of runs and answers, and what makes room."""

from engine.scenario import Scenario
from lab.runs.lru import LRU
from lab.runs.run_feed import RUNS_KEPT, Run, RunFeed


def test_the_least_recently_used_entry_makes_room() -> None:
    kept: LRU[str, int] = LRU(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)


def test_what_must_be_kept_is_kept_beyond_the_limit() -> None:
    kept: LRU[str, int] = LRU(1)
    for key, value in (("a", 1), ("b", 2), ("c", 3)):
        kept.put(key, value, keep=lambda old: old < 3)
    assert [kept.get(key) for key in "abc"] == [1, 2, None]


def test_dropping_leaves_the_others() -> None:
    kept: LRU[str, int] = LRU(9)
    for key, value in (("a", 1), ("b", 2), ("c", 3)):
        kept.put(key, value)
    kept.drop(lambda key, value: key == "a" or value == 3)
    assert [kept.get(key) for key in "abc"] == [None, 2, None]
    assert len(kept) == 1


def test_runs_that_are_on_or_pinned_are_not_evicted() -> None:
    feed = RunFeed(lambda act: act())
    feed.pinned = lambda: {"pinned"}
    runs = [Run("on", Scenario()), Run("pinned", Scenario()), Run("over", Scenario())]
    for run in runs:
        feed.add(run)
        if run.id != "on":
            run.end()
    for n in range(RUNS_KEPT):
        later = Run(f"later {n}", Scenario())
        later.end()
        feed.add(later)
    assert [feed.get(run.id) is run for run in runs] == [True, True, False]
