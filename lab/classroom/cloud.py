"""Where a class's rounds of the game lie: its points, the policies on the same orders, the best that was found."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import msgspec

from lab.classroom.games import ClassGame, Point
from lab.play.frontier_html import BEST, YOU, Dot, Mark, frontier_html
from lab.play.score import Score
from lab.play.standing import BALANCED, balanced_score, rival_marks, rivals_of
from lab.play.words import listed

GRAIN_S = 1e-3  # points that are closer than this are one dot


def cloud_html(game: ClassGame, points: Collection[Point], mine: Score | None = None, *, names: bool = False) -> str:
    """`mine`: the learner's, whose page it is. `names`: those that learners offer."""
    marks = [msgspec.structs.replace(mark, watch="") for mark in rival_marks(game.puzzle)]
    if game.best:
        marks.insert(0, Mark(BALANCED, balanced_score(game.best), BEST, "circle"))
    if mine is not None:
        marks.insert(0, Mark("you", mine, YOU, "ring"))
    key = "Each grey dot is one of the class, or as many as it says. Nearer to the lower left is better."
    if game.best:
        key += " The line is the best that a search found."
    return f'<p class="ch-key">{key}</p>' + frontier_html(marks, game.best, dots(points, names=names))


def dots(points: Collection[Point], *, names: bool) -> list[Dot]:
    """One for all points that nobody could tell apart."""
    alike: defaultdict[tuple[int, int], list[Point]] = defaultdict(list)
    for point in points:
        alike[round(point.score.ttft_s / GRAIN_S), round(point.score.stall_s / GRAIN_S)].append(point)
    return [
        Dot(same[0].score, len(same), ", ".join(sorted(one.nickname for one in same if one.nickname)) if names else "")
        for same in alike.values()
    ]


def says(game: ClassGame, points: Collection[Point]) -> str:
    """How many beat whom, in words."""
    return said([point.score for point in points], rivals_of(game.puzzle), game.best)


def said(scores: Sequence[Score], rivals: Mapping[str, Score], best: Sequence[Score]) -> str:
    """`best`: empty while the class plays."""
    if not scores:
        return "Nobody has finished a round yet."
    counts = {name: sum(one.beats(other) for one in scores) for name, other in rivals.items()}
    beaten = [f"{count} beat{'s' * (count == 1)} {name}" for name, count in counts.items() if count]
    parts = [f"{len(scores)} learner{'s have' if len(scores) > 1 else ' has'} finished a round."]
    if beaten:
        parts.append(f"{_capital(listed(beaten))} in both scores.")
    elif rivals:
        parts.append(f"None beats {' or '.join(rivals)} in both scores.")
    if best:
        top = sum(not any(other.beats(one) for other in best) for one in scores)
        parts.append(
            f"A search found nothing better than {'one' if top == 1 else top} of these rounds."
            if top
            else "A search found a round that beats each of them."
        )
    return " ".join(parts)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
