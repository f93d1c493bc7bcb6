"""The move that decided a round: before it, a round that is better in both scores was to be had; after it, none was."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import msgspec

from engine.events import Finished, HandoffStarted, StepStarted, TokenMade
from engine.stall import in_seconds
from lab.play.game import Ask, Decide, Play, play, played_by
from lab.play.moves import PLATE, PLATE_ON, Move
from lab.play.par import Rule, as_policy, frontier, policies, rules
from lab.play.puzzle import Puzzle, number_of
from lab.play.score import SAME_S, Score, score, worst
from lab.play.standing import better_round
from lab.play.words import told
from lab.scene.stall_words import COUNTS, headline

ENOUGH = 0.5  # of what could be gained; less is not what decided
# How far to look: not at all; for the move that decided, by a few rules, and nobody is told what would be better there;
# or by all rules, which takes a second, and what to do instead is told, with the best that a search finds.
Search = Literal["", "hint", "best"]
FEW = (Rule("short", 0, "last", "short"), Rule("short", 2, "mixed", "short"))


class Turn(msgspec.Struct, frozen=True):
    """`before`: how many moves came before it. `instead`: what another round does there, and how good that one is."""

    before: int
    at_s: float
    chosen: Move
    instead: Move
    score: Score


class Moment(msgspec.Struct, frozen=True):
    """`says`: what cost most, or what made the round good. `chose`: the move that decided, or that none did; `back`:
    how many came before it, `there` what is said before it when it is to be made again, and `instead` the move to
    make there, if that is told."""

    says: str
    chose: str = ""
    back: int | None = None
    there: str = ""
    instead: str = ""


def moment(played: Play, search: Search) -> Moment:
    """Of a round that is over."""
    stalls, mine = worst(played), score(played.events)
    says = headline(stalls, lambda request: f"{number_of(request)}") + "." if stalls else _calm(mine)
    if any(stall.phase == "first" for stall in stalls):
        says += " Such waits count in the TTFT, not as stalls."
    if not search:
        return Moment(says)
    found = turn(played.puzzle, played.made, thorough=search == "best")
    if found is None:
        better = better_round(frontier(played.puzzle), mine)
        if better is None:
            return Moment(good(played))
        then = f" Watch the round of {_both(better.score)}: it beats yours." if search == "best" else ""
        return Moment(says, f"No single move decided it.{then}")
    if in_seconds(found.score.stall_s) == in_seconds(mine.stall_s):
        says = f"First tokens came late, after {in_seconds(mine.ttft_s)} on average."
    if search == "best":
        return Moment(says, _chose(found), found.before, _chose_here(found), found.instead.move)
    return Moment(says, _hint(found), found.before, _hint_here(found))


def _hint(found: Turn) -> str:
    return (
        f"Your move at {in_seconds(found.at_s)} decided it: {told(found.chosen)}. With another move there, a round "
        "that is better in both scores can still be had."
    )


def _chose(found: Turn) -> str:
    return (
        f"Your move at {in_seconds(found.at_s)} decided it: {told(found.chosen)}. A round that begins like yours, and "
        f"then has “{told(found.instead)}” there, reaches {_both(found.score)}."
    )


def _hint_here(found: Turn) -> str:
    return f"Here you chose: {told(found.chosen)}. Another move can do better in both scores."


def _chose_here(found: Turn) -> str:
    then = _both(found.score)
    return f"Here you chose: {told(found.chosen)}. With “{told(found.instead)}” you can still reach {then}."


def _both(of: Score) -> str:
    return f"{in_seconds(of.ttft_s)} (TTFT) and {in_seconds(of.stall_s)} (stall)"


def _calm(mine: Score) -> str:
    return f"The longest stall was {in_seconds(mine.stall_s)}."


def good(played: Play) -> str:
    """What became of the large order, and who waited for it."""
    puzzle = played.puzzle
    large = max(puzzle.drafts, key=lambda draft: draft.prompt_tokens)
    number = large.number + 1
    if puzzle.level.deployment.kind == "disaggregated":
        sent = [event.request for event in played.events if isinstance(event, HandoffStarted)]
        behind = len(sent) - 1 - sent.index(f"r{number}")
        who = f"{COUNTS[behind]} other tray{'s' * (behind != 1)}"
        return f"What made it good: tray {number}, the large one, crossed the pass with {who} behind it."
    steps = [step for step in played.events if isinstance(step, StepStarted) and _preps(step, f"r{number}")]
    waited = len({name for step in steps for name in _waits(played, step)})
    in_steps = "one step" if len(steps) == 1 else f"{len(steps)} steps"
    if waited:
        who = f"{COUNTS[waited]} answer{'s' * (waited != 1)} had to wait for it"
    elif any(part.tokens == 1 for step in steps for part in step.plan):
        who = "each of them had a token for every plate"
    else:
        who = "no plate waited meanwhile"
    return (
        f"What made it good: order {number}, the large one, was prepped in {in_steps}, and {who}. "
        f"The longest stall was {in_seconds(score(played.events).stall_s)}."
    )


def _preps(step: StepStarted, request: str) -> bool:
    return any(part.request == request and part.tokens > 1 for part in step.plan)


def _waits(played: Play, step: StepStarted) -> set[str]:
    """The answers under way that get no token from this step."""
    begun = {event.request for event in played.events if isinstance(event, TokenMade) and event.t <= step.t}
    over = {event.request for event in played.events if isinstance(event, Finished) and event.t <= step.t}
    return begun - over - {part.request for part in step.plan}


# ---- which move it was


@lru_cache(maxsize=64)
def turn(puzzle: Puzzle, made: tuple[str, ...], *, thorough: bool) -> Turn | None:
    """None if no round was found that is better in both scores. `thorough`: by all rules, not by a few of them.

    What is looked for gains at least half of what the best that was found does. By bisection: such a round can still
    be had before the move that is returned, with another move there, and none was found after it.
    """
    mine = score(play(puzzle, made).events)
    best = [_gain(mine, one.score) for one in frontier(puzzle)]
    if not max(best):
        return None

    def reached(before: int) -> Play | None:
        offered = {move.move for move in play(puzzle, made[:before]).open}  # the rules know moves without a button
        gains = [
            (_gain(mine, score(one.events)), one.made[before] != made[before], one)
            for one in _rounds(puzzle, made[:before], thorough=thorough)
            if len(one.made) > before and one.made[before] in offered
        ]
        enough = [gain for gain in gains if gain[0] >= ENOUGH * max(best)]
        return max(enough, key=lambda gain: (gain[1], gain[0]))[2] if enough else None

    low, high, found = 0, len(made), reached(0)
    while high - low > 1:
        middle = (low + high) // 2
        if now := reached(middle):
            low, found = middle, now
        else:
            high = middle
    here = {move.move: move for move in play(puzzle, made[:low]).open}
    if found is None or found.made[low] == made[low] or not {found.made[low], made[low]} <= set(here):
        return None
    if {found.made[low], made[low]} == {PLATE, PLATE_ON}:  # the same to whoever reads it: what differs comes later
        return None
    return Turn(low, found.made_s[low], here[made[low]], here[found.made[low]], score(found.events))


def _gain(mine: Score, other: Score) -> float:
    """How much better the other one is, in shares of both scores; none if it is worse in one."""
    if not other.beats(mine):
        return 0.0
    return (mine.ttft_s - other.ttft_s) / mine.ttft_s + (mine.stall_s - other.stall_s) / max(mine.stall_s, SAME_S)


def _rounds(puzzle: Puzzle, begun: tuple[str, ...], *, thorough: bool) -> Iterator[Play]:
    """Those that begin so, and go on as a rule says, or as one of the best does."""
    count = len(begun)
    deciders = [rule.decider(puzzle) for rule in (rules(puzzle) if thorough else FEW)]
    if not thorough:
        deciders += [as_policy(puzzle, name) for name in policies(puzzle)]
    deciders += [_as_made(one.made[count:]) for one in frontier(puzzle) if one.made[:count] == begun]
    return (played_by(puzzle, _after(begun, decide)) for decide in deciders)


def _as_made(made: tuple[str, ...]) -> Decide:
    left = iter(made)
    return lambda _: next(left)


def _after(made: tuple[str, ...], then: Decide) -> Decide:
    """These moves, and then as `then` says."""
    left = iter(made)

    def decide(ask: Ask) -> str | None:
        return next(left, None) or then(ask)

    return decide
