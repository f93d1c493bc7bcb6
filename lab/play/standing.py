"""Where a round that is over stands: beside the policies, and beside the best that was found."""

from collections.abc import Sequence
from functools import lru_cache
from math import log
from typing import NamedTuple

from engine.scenario import Kind
from lab.play.frontier_html import BEST, YOU, Mark
from lab.play.game import Play, served_by
from lab.play.par import Found, frontier
from lab.play.puzzle import Puzzle
from lab.play.score import SAME_S, Score, score
from lab.play.words import CALLED, numbers, verdict
from lab.scene.words import LOOKS

RIVALS: tuple[Kind, ...] = ("colocated", "chunked", "disaggregated")
BEST_FOUND, BETTER = "best", "better"
BEATS_YOU = "a round that beats yours"
BALANCED = "one of the best found"  # one fixed point of the line: it does not depend on the learner's round
TWICE = ", with twice the stations"


class Standing(NamedTuple):
    """`marks`: the learner's first. `best`: all that nothing found beats; empty before it is looked for."""

    headline: str
    says: str
    marks: Sequence[Mark]
    best: Sequence[Score]


def standing(played: Play, *, look_for_par: bool) -> Standing:
    """To look for the best takes a second; it is kept."""
    mine = score(played.events)
    best = frontier(played.puzzle) if look_for_par else ()
    marks = [Mark("you", mine, YOU, "ring")]
    fair, better = rivals_of(played.puzzle), better_round(best, mine)
    if best:
        usual = balanced(best).score
        if better is not None and better.score != usual:
            marks.append(Mark(BEATS_YOU, better.score, BEST, "up", BETTER))
        marks.append(Mark(BALANCED, usual, BEST, "circle", BEST_FOUND))
    marks += rival_marks(played.puzzle)
    return Standing(
        verdict(mine, fair, better.score if better else None, searched=look_for_par),
        numbers(mine, fair),
        marks,
        [one.score for one in best],
    )


def rival_marks(given: Puzzle) -> list[Mark]:
    """The policies, those with more stations too."""
    return [
        Mark(CALLED[kind] + ("" if _fair(given, kind) else TWICE), one, *LOOKS[kind], kind)
        for kind, one in _rivals(given).items()
    ]


def balanced(best: Sequence[Found]) -> Found:
    """The one that is near the least of both scores at once, each as a share of its range on the chart's axis."""
    return best[_most_balanced([one.score for one in best])]


def balanced_score(best: Sequence[Score]) -> Score:
    """The same of scores alone."""
    return best[_most_balanced(best)]


def _most_balanced(best: Sequence[Score]) -> int:
    ttfts, stalls = [log(one.ttft_s) for one in best], [log(max(one.stall_s, SAME_S)) for one in best]
    far = [_shares(ttft, ttfts) + _shares(stall, stalls) for ttft, stall in zip(ttfts, stalls, strict=True)]
    return far.index(min(far))


def better_of(best: Sequence[Score], mine: Score) -> Score | None:
    """The balanced one if it beats the learner, or else the most balanced of those that do."""
    beating = [one for one in best if one.beats(mine)]
    if not beating:
        return None
    usual = balanced_score(best)
    return usual if usual in beating else balanced_score(beating)


def better_round(best: Sequence[Found], mine: Score) -> Found | None:
    """The same with its moves."""
    better = better_of([one.score for one in best], mine)
    return next((one for one in best if one.score == better), None)


def _shares(value: float, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    return (value - low) / (high - low) if high > low else 0.0


def rivals_of(given: Puzzle) -> dict[str, Score]:
    """Those with as many stations as the learner has, by name."""
    return {CALLED[kind]: one for kind, one in _rivals(given).items() if _fair(given, kind)}


def _fair(given: Puzzle, kind: Kind) -> bool:
    """Whether it has as many stations as the learner."""
    return kind != "disaggregated" or given.level.deployment.workers > 1


@lru_cache(maxsize=64)
def _rivals(given: Puzzle) -> dict[Kind, Score]:
    return {kind: score(served_by(given, kind).events) for kind in RIVALS}
