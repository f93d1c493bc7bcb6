"""What a round's page says: of moves, of scores, and of the moment that decided."""

from collections.abc import Mapping, Sequence

from engine.stall import in_seconds
from lab.play.moves import Move
from lab.play.score import Score

TTFT, STALL = "First token (TTFT), mean", "Longest stall"
CALLED = {
    "colocated": "prefill first (co-located)",
    "chunked": "chunked prefill",
    "disaggregated": "first come, first served (disaggregated)",
}


def label(move: Move) -> str:
    """On a button that stands beside its order."""
    match move.act:
        case "plate":
            return "Plate one token each"
        case "plate-on":
            return "Keep plating"
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


def asks(open_: Sequence[Move]) -> str:
    """What is at stake in the first move."""
    numbers = list(dict.fromkeys(f"{move.orders[0]}" for move in open_ if move.orders))
    many = len(numbers) > 1
    if any(move.act == "send" for move in open_):
        return f"Trays {listed(numbers)} wait. Which goes first? Press one to begin."
    who = f"order{'s' * many} {listed(numbers)}"
    if any(move.act == "plate" for move in open_):
        return f"Plate on, or prep {who}? Press one to begin."
    if many:
        return f"{_capital(who)} wait. Which is first? Press one to begin."
    return f"{_capital(who)} waits. All of it, or a portion first? Press one to begin."


def detail(move: Move) -> str:
    """Below it: how much, and how long the step takes."""
    if move.act == "plate-on":
        return "until one comes or is served"
    tokens = f"{move.tokens:,} tokens, " if move.act in ("portion", "mixed", "together") else ""
    waits = f", {move.holds} plate{'s' * (move.holds > 1)} wait{'s' * (move.holds == 1)}" if move.holds else ""
    return tokens + in_seconds(move.seconds) + waits


def told(move: Move) -> str:
    """What was decided, as part of a sentence."""
    order = f"order {move.orders[0]}" if move.orders else ""
    match move.act:
        case "plate":
            return "plate one token each"
        case "plate-on":
            return "keep plating"
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


def verdict(mine: Score, others: Mapping[str, Score], better: Score | None, *, searched: bool) -> str:
    """In a sentence or two. `others`: policies by name. `better`: a round that was found and beats the learner's."""
    above = [name for name, other in others.items() if other.beats(mine)]
    beaten = [name for name, other in others.items() if mine.beats(other)]
    alike = [name for name, other in others.items() if mine.is_like(other)]
    if above:
        both = all(others[name].beats_in_both(mine) for name in above)
        return f"{_capital(listed(above))} did better {_in_scores(both)}."
    if searched and better is None:
        return "Nothing that we found beats you in both scores."
    there_is = ""
    if better:
        there_is = f". A search found a round that is better {'in both' if better.beats_in_both(mine) else 'still'}"
    if beaten:
        both = all(mine.beats_in_both(others[name]) for name in beaten)
        return f"You did better than {listed(beaten)} {_in_scores(both)}{there_is}."
    if alike:
        return f"You did exactly as well as {listed(alike)}{there_is}."
    return f"You beat none of the schedulers below in both scores, and none beats you{there_is}."


def _in_scores(both: bool) -> str:
    return "in both scores" if both else "in at least one score and no worse in the other"


def reached(mine: Score) -> str:
    """The two that count."""
    return (
        f"Your first tokens came after {in_seconds(mine.ttft_s)} on average (TTFT), and no answer waited longer than "
        f"{in_seconds(mine.stall_s)} for its next token (the longest stall)."
    )


def numbers(mine: Score, others: Mapping[str, Score]) -> str:
    """The two that count, and who is better in one of them."""
    said = [reached(mine)]
    for name, other in others.items():
        if mine.beats(other) or other.beats(mine) or mine.is_like(other):
            continue
        ttft, stall = in_seconds(other.ttft_s), in_seconds(other.stall_s)
        if ttft == in_seconds(mine.ttft_s):
            said.append(f"{_capital(name)} has first tokens as early, and stalls for {stall} at most.")
        elif other.ttft_s < mine.ttft_s:
            said.append(f"{_capital(name)} has first tokens after {ttft}, but stalls for {stall}.")
        else:
            said.append(f"{_capital(name)} stalls for {stall} at most, but has first tokens only after {ttft}.")
    return " ".join(said)


def listed(names: Sequence[str]) -> str:
    """With "and" before the last one."""
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
