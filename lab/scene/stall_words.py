"""What the kitchen says of a stall: "Orders 1 and 2 stood still for 1.80 s while order 4's 1,024 tokens were in prep."

The same sentence goes to the scene, the screen reader and the export.
"""

from collections.abc import Sequence

from engine import units
from engine.events import SERVER
from engine.stall import Name, Stall, in_seconds, listed, number, owned, steps_of

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def kitchen_says(stall: Stall, name: Name = number) -> str:
    """`name`: the number that an order carries in the kitchen."""
    who = listed("order", stall.requests, name)
    waited = "stood still" if stall.phase == "next" else "waited for a first token"
    return f"{_capital(who)} {waited} for {in_seconds(stall.seconds)} {_because(stall, name)}."


def headline(stalls: Sequence[Stall], name: Name = number) -> str:
    """Of stalls with one cause: "Order 8 froze five answers for 1.10 s"."""
    cause = stalls[0].cause
    orders = {order for stall in stalls for order in stall.requests}
    worst = max(stalls, key=lambda stall: stall.seconds)
    answers = f"{COUNTS[len(orders)] if len(orders) < len(COUNTS) else len(orders)} answer{'s' * (len(orders) > 1)}"
    lasted = f"for {'up to ' * (len({in_seconds(s.seconds) for s in stalls}) > 1)}{in_seconds(worst.seconds)}"
    giant = listed("order", [cause.request], name) if cause.request else ""  # none, or a worker's that was down
    match cause.kind:
        case "prefill":
            return f"{_capital(listed('order', cause.requests, name))} froze {answers} {lasted}"
        case "mixed":
            return f"Portions of {giant} gave {answers} gaps of {lasted.removeprefix('for ')}"
        case "tray" | "tray-ahead" if orders == {cause.request}:
            return f"{_capital(giant)} waited {lasted} while its tray crossed"
        case "tray" | "tray-ahead":
            return f"Tray {name(cause.request)} kept {answers} waiting {lasted}"
        case "room":
            return f"A full plating line kept {answers} waiting {lasted}"
        case "left-out":
            return f"The policy left {answers} out {lasted}"
        case "recall":
            return f"A fault kept {answers} waiting {lasted}"
        case "none":
            return f"{_capital(answers)} stood still {lasted}, {_unknown(worst)}"


def _unknown(stall: Stall) -> str:
    return (
        "for a reason that cannot be seen from outside" if stall.worker == SERVER else "for no reason in this kitchen"
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _because(stall: Stall, name: Name) -> str:
    cause, several = stall.cause, len(stall.requests) > 1
    size = units.in_words(cause.nbytes, "B")
    match cause.kind:
        case "prefill":
            return f"while {owned('order', cause.requests, f'{cause.tokens:,} tokens', name)} were in prep"
        case "mixed":
            whose = listed("order", cause.requests, name)
            return f"while {cause.tokens:,} tokens of {whose} were prepped in the same step"
        case "tray":
            return f"while {'their' if several else 'its'} own tray, {size}, crossed the pass"
        case "tray-ahead":
            return f"while {listed('tray', cause.requests, name)}, {size}, filled the pass ahead of {_them(several)}"
        case "room":
            return f"until there was room for {'their trays' if several else 'its tray'}"
        case "left-out":
            return f"while the policy left {_them(several)} out of {steps_of(cause)} with tokens for others"
        case "recall":
            return f"until {'they had' if several else 'it had'} been prepped once more: {cause.why}"
        case "none":
            return _unknown(stall)


def _them(several: bool) -> str:
    return "them" if several else "it"
