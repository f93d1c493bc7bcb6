"""What the page of a round is told: the kitchen up to now, what can be done, and at the end how good it was."""

from collections.abc import Callable
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.stall import in_seconds
from lab.play.frontier_html import frontier_html
from lab.play.game import Play, play, served_by
from lab.play.moment import Search, moment
from lab.play.moves import Act
from lab.play.pace import Pace, shipped
from lab.play.par import frontier
from lab.play.puzzle import puzzle
from lab.play.score import score, so_far
from lab.play.standing import BALANCED, BEATS_YOU, BEST_FOUND, BETTER, RIVALS, balanced, better_round, standing
from lab.play.words import CALLED, STALL, TTFT, asks, detail, label
from lab.scene.export_html import kitchen
from lab.scene.motions import motions


class Asked(msgspec.Struct, frozen=True):
    """`watch`: also the same orders under a policy, or the best that was found, to be seen beside it."""

    level: int = 1
    seed: int = 1
    pace: str = "recorded"
    moves: tuple[str, ...] = ()
    watch: str = ""
    search: Search = ""


class Button(msgspec.Struct, frozen=True):
    """A move that can be made now."""

    move: str
    act: Act
    orders: tuple[int, ...]
    label: str
    detail: str


class Waiting(msgspec.Struct, frozen=True):
    """An order whose prep is not done."""

    number: int
    says: str


class Result(msgspec.Struct, frozen=True):
    """`chart`: HTML. `moment`: what cost most, or what was good; `chose`: the move that decided, if one did.
    `back`: how many moves came before it; `there`: what is said there, and `instead` the
    move that is advised, if one is. `searched`: how far that was looked for."""

    headline: str
    says: str
    chart: str
    moment: str
    chose: str
    back: int | None
    there: str
    instead: str
    searched: Search


class Answer(msgspec.Struct, frozen=True):
    """`kitchens`: as the scene takes them; the second one is to be compared with. `so_far`: (what, how much).
    `asks`: what the first move is about; "" for all others."""

    kitchens: tuple[dict[str, Any], ...]
    t: float
    buttons: tuple[Button, ...]
    waiting: tuple[Waiting, ...]
    so_far: tuple[tuple[str, str], ...]
    says: str
    asks: str
    pace: str
    result: Result | None = None


def answer(asked: Asked, pace: Callable[[str], Pace] = shipped) -> Answer:
    """`pace`: by its name. Raises BadInput."""
    given = puzzle(asked.level, asked.seed, pace(asked.pace))
    played = play(given, asked.moves)
    kitchens = [_kitchen("you", "Your kitchen", played)]
    if asked.watch:
        kitchens.append(_beside(played, asked.watch))
    first = sorted(played.open, key=lambda move: move.act != "plate-on")  # of a round's presses it saves the most
    buttons = [Button(move.move, move.act, move.orders, label(move), detail(move)) for move in first]
    return Answer(
        tuple(kitchens),
        round(played.t + 1e-6, 6),  # motions are rounded too: what ends now has ended
        tuple(buttons),
        _waiting(played),
        _so_far(played),
        given.level.does,
        asks(played.open) if not played.made else "",
        given.pace.says,
        _result(played, asked.search) if played.over else None,
    )


def _kitchen(name: str, title: str, played: Play) -> dict[str, Any]:
    kind = played.puzzle.level.deployment.kind
    return kitchen(played.events, title, id=name, deployment=kind) | {"run": name, "simulated": True}


def _beside(played: Play, name: str) -> dict[str, Any]:
    given = played.puzzle
    if name == BEST_FOUND:
        return _kitchen(BEST_FOUND, _title(BALANCED), play(given, balanced(frontier(given)).made))
    if name == BETTER and played.over and (better := better_round(frontier(given), score(played.events))) is not None:
        return _kitchen(BETTER, _title(BEATS_YOU), play(given, better.made))
    if name not in RIVALS:
        raise BadInput("watch", name, "one of " + ", ".join((*RIVALS, BEST_FOUND)))
    kind = RIVALS[RIVALS.index(name)]
    log = served_by(given, kind)
    return kitchen(motions(log.events), _title(CALLED[kind]), id=name, deployment=name) | {
        "run": name,
        "simulated": True,
    }


def _waiting(played: Play) -> tuple[Waiting, ...]:
    numbers_ = dict.fromkeys(order for move in played.open if move.act == "whole" for order in move.orders)
    drafts = {draft.number + 1: draft.prompt_tokens for draft in played.puzzle.drafts}
    left = {move.orders[0]: move.tokens for move in played.open if move.act == "whole"}
    return tuple(
        Waiting(n, f"{drafts[n]:,} tokens" + (f", {left[n]:,} to go" if left[n] < drafts[n] else "")) for n in numbers_
    )


def _so_far(played: Play) -> tuple[tuple[str, str], ...]:
    now = so_far(played)
    return (
        (TTFT, in_seconds(now.ttft_s) if now.ttft_s is not None else "–"),
        (STALL, in_seconds(now.stall_s) if now.stall_s else "–"),
    )


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


# ---- at the end


def _result(played: Play, search: Search) -> Result:
    stands = standing(played, look_for_par=search == "best")
    told = moment(played, search)
    chart = frontier_html(stands.marks, stands.best)
    says = stands.says
    if played.made_s and played.made_s[-1] < played.t:
        says += " After your last move there was nothing left to choose, so the rest ran by itself."
    return Result(stands.headline, says, chart, told.says, told.chose, told.back, told.there, told.instead, search)
