"""Where a round that is over stands: beside the policies, and beside the best that was found."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from engine.scenario import Kind
from lab.play.frontier_html import BEST, YOU, Mark
from lab.play.game import Play, served_by
from lab.play.par import Found, frontier
from lab.play.puzzle import Puzzle
from lab.play.score import SAME_S, Score, score
from lab.play.words import numbers, verdict
from lab.scene.words import LOOKS, SERVING

RIVALS: tuple[Kind, ...] = ("colocated", "chunked", "disaggregated")
BEST_FOUND = "best"
TWICE = ", with twice the stations"


class Standing(NamedTuple):
    """`marks`: the learner's first. `best`: all that nothing found beats; empty before it is looked for."""

    headline: str
    says: str
    marks: Sequence[Mark]
    best: Sequence[Score]


def standing(played: Play, *, look_for_par: bool) -> Standing:
    """To look for the best takes a second; it is kept."""
    mine, rivals = score(played.events), _rivals(played.puzzle)
    best = frontier(played.puzzle) if look_for_par else ()
    chosen = worth_watching(best, mine).score if best else None
    marks = [Mark("you", mine, YOU, "ring")]
    if chosen:
        marks.append(Mark("the best that was found", chosen, BEST, "circle", BEST_FOUND))
    for kind, one in rivals.items():
        name = SERVING[kind] + ("" if _fair(played.puzzle, kind) else TWICE)
        marks.append(Mark(name, one, *LOOKS[kind], kind))
    fair = {SERVING[kind]: one for kind, one in rivals.items() if _fair(played.puzzle, kind)}
    found = [one.score for one in best]
    return Standing(
        verdict(mine, fair, found if look_for_par else None),
        numbers(mine, chosen if chosen and chosen.beats(mine) else None),
        marks,
        found,
    )


def worth_watching(best: Sequence[Found], mine: Score) -> Found:
    """One that beats the learner and is short in both; or else the earliest of those that are as calm, if any is."""
    if better := [one for one in best if one.score.beats(mine)]:
        return min(better, key=lambda one: one.score.ttft_s * one.score.stall_s)
    calm = [one for one in best if one.score.stall_s <= mine.stall_s + SAME_S]
    return min(calm, key=lambda one: one.score.ttft_s) if calm else min(best, key=lambda one: one.score.stall_s)


def _fair(given: Puzzle, kind: Kind) -> bool:
    """Whether it has as many stations as the learner."""
    return kind != "disaggregated" or given.level.deployment.workers > 1


@lru_cache(maxsize=64)
def _rivals(given: Puzzle) -> dict[Kind, Score]:
    return {kind: score(served_by(given, kind).events) for kind in RIVALS}
