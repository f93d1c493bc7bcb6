"""What a round's page says: of moves, of scores, and of the moment that decided."""

from collections.abc import Mapping, Sequence

from engine.stall import in_seconds
from lab.play.moves import Move
from lab.play.score import Score


def label(move: Move) -> str:
    """On a button that stands beside its order."""
    match move.act:
        case "plate":
            return "Plate one token each"
        case "plate-on":
            return "Plate on"
        case "whole":
            return "Prep it all"
        case "portion":
            return "Prep a portion"
        case "mixed":
            return "Prep and plate"
        case "together":
            return f"Prep {_orders(move)} together"
        case "send":
            return f"Send tray {move.orders[0]}"


def detail(move: Move) -> str:
    """Below it: how much, and how long the step takes."""
    if move.act == "plate-on":
        return "until somebody comes or is served"
    tokens = f"{move.tokens:,} tokens, " if move.act not in ("plate", "whole", "send") else ""
    return tokens + in_seconds(move.seconds)


def told(move: Move) -> str:
    """What was decided, as part of a sentence."""
    order = f"order {move.orders[0]}" if move.orders else ""
    match move.act:
        case "plate" | "plate-on":
            return "plate"
        case "whole":
            return f"prep all of {order}"
        case "portion":
            return f"prep a portion of {order}"
        case "mixed":
            return f"prep {move.tokens:,} tokens of {order} and plate in the same step"
        case "together":
            return f"prep {_orders(move)} together"
        case "send":
            return f"send tray {move.orders[0]}"


def _orders(move: Move) -> str:
    return f"orders {listed([str(order) for order in move.orders])}"


def verdict(mine: Score, others: Mapping[str, Score], best: Sequence[Score] | None) -> str:
    """In one sentence. `others`: policies by name. `best`: what a search has found; None while it goes on."""
    better = [name for name, other in others.items() if other.beats(mine)]
    beaten = [name for name, other in others.items() if mine.beats(other)]
    alike = [name for name, other in others.items() if mine.is_like(other)]
    if better:
        return f"{_capital(listed(better))} did better in both."
    if best is not None and not any(other.beats(mine) for other in best):
        return "Nothing that we found beats you."
    if beaten:
        return f"You beat {listed(beaten)} in both."
    if alike:
        return f"You did exactly as well as {listed(alike)}."
    return "Better in one, worse in the other."


def numbers(mine: Score, better: Score | None) -> str:
    """The two that count, and of a round that beats the learner's."""
    said = (
        f"Your first tokens came after {in_seconds(mine.ttft_s)} on average, and no answer waited longer than "
        f"{in_seconds(mine.stall_s)} for its next token."
    )
    if better is None:
        return said
    return f"{said} {in_seconds(better.ttft_s)} and {in_seconds(better.stall_s)} can be had with the same orders."


def listed(names: Sequence[str]) -> str:
    """With "and" before the last one."""
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
